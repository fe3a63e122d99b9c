/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of the Parquet format (apache/parquet-format, src/main/thrift/parquet.thrift) that reading and writing share. */
#ifndef ISTHMUS_TABLE_PARQUET_H
#define ISTHMUS_TABLE_PARQUET_H

#define PARQUET_MAGIC "PAR1" /* at the beginning and at the end */

enum parquet_type { /* Type: how values are stored */
                    PARQUET_BOOLEAN = 0,
                    PARQUET_INT32 = 1,
                    PARQUET_INT64 = 2,
                    PARQUET_INT96 = 3,
                    PARQUET_FLOAT = 4,
                    PARQUET_DOUBLE = 5,
                    PARQUET_BYTE_ARRAY = 6,
                    PARQUET_FIXED = 7,
};

enum parquet_repetition { PARQUET_REQUIRED = 0, PARQUET_OPTIONAL = 1, PARQUET_REPEATED = 2 };

enum parquet_converted { /* ConvertedType: what they mean, the old way */
                         CONVERTED_UTF8 = 0,
                         CONVERTED_ENUM = 4,
                         CONVERTED_DATE = 6,
                         CONVERTED_TIMESTAMP_MILLIS = 9,
                         CONVERTED_TIMESTAMP_MICROS = 10,
                         CONVERTED_UINT_8 = 11,
                         CONVERTED_UINT_32 = 13,
                         CONVERTED_UINT_64 = 14,
                         CONVERTED_INT_8 = 15,
                         CONVERTED_INT_64 = 18,
                         CONVERTED_JSON = 19,
};

enum parquet_logical { /* LogicalType: field of the union */
                       LOGICAL_STRING = 1,
                       LOGICAL_ENUM = 4,
                       LOGICAL_DECIMAL = 5,
                       LOGICAL_DATE = 6,
                       LOGICAL_TIME = 7,
                       LOGICAL_TIMESTAMP = 8,
                       LOGICAL_INTEGER = 10,
                       LOGICAL_JSON = 12,
};

enum parquet_unit { PARQUET_MILLIS = 1, PARQUET_MICROS = 2, PARQUET_NANOS = 3 }; /* TimeUnit */

enum parquet_encoding {
    PARQUET_PLAIN = 0,
    PARQUET_PLAIN_DICTIONARY = 2,
    PARQUET_RLE = 3,
    PARQUET_BIT_PACKED = 4,
    PARQUET_DELTA_BINARY_PACKED = 5,
    PARQUET_DELTA_LENGTH_BYTE_ARRAY = 6,
    PARQUET_DELTA_BYTE_ARRAY = 7,
    PARQUET_RLE_DICTIONARY = 8,
    PARQUET_BYTE_STREAM_SPLIT = 9,
};

enum parquet_codec {
    PARQUET_UNCOMPRESSED = 0,
    PARQUET_SNAPPY = 1,
    PARQUET_GZIP = 2,
    PARQUET_ZSTD = 6,
};

enum parquet_page {
    PARQUET_DATA_PAGE = 0,
    PARQUET_INDEX_PAGE = 1,
    PARQUET_DICTIONARY_PAGE = 2,
    PARQUET_DATA_PAGE_V2 = 3,
};

#endif
