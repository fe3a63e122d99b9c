// SPDX-License-Identifier: Apache-2.0
// Parquet by programs that nobody here wrote: DuckDB and hyparquet.
//   parquet.mjs duckdb|hyparquet FILE KIND…   reads: each row as a JSON list of texts, a line each
//   parquet.mjs sql QUERY…                    DuckDB: each query's rows as a JSON list of lists of texts, a line each
// Texts are exact: whole numbers in decimal, times in nanoseconds (DuckDB keeps microseconds), doubles and bytes in hex.
import { DuckDBInstance } from '@duckdb/node-api'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

function hex(bytes) {
  return Buffer.from(bytes).toString('hex')
}

function double(value) {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return Number.isNaN(value) ? 'NaN' : hex(bytes)
}

function exact(value, kind) {
  if (value === null || value === undefined) return null
  if (kind === 'double') return double(Number(value))
  if (kind === 'bytes') return hex(value.bytes ?? value)
  if (kind === 'time') return String(value.micros === undefined ? value : value.micros * 1000n)
  return String(value)
}

async function query(text) {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  return await connection.runAndReadAll(text)
}

async function readDuckDB(file) {
  return (await query(`select * from read_parquet('${file}')`)).getRows()
}

async function readHyparquet(file) {
  const parsers = { timestampFromNanoseconds: (nanos) => nanos }
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(file), compressors, parsers, utf8: false })
  return rows.map((row) => Object.values(row))
}

const [program, ...rest] = process.argv.slice(2)
if (program === 'sql') {
  for (const text of rest) {
    const rows = (await query(text)).getRows()
    console.log(JSON.stringify(rows.map((row) => row.map((value) => exact(value)))))
  }
} else {
  const [file, ...kinds] = rest
  const rows = await (program === 'duckdb' ? readDuckDB : readHyparquet)(file)
  const lines = rows.map((row) => JSON.stringify(row.map((value, i) => exact(value, kinds[i]))))
  console.log(lines.join('\n'))
}
