/* SPDX-License-Identifier: Apache-2.0 */
/* YAML files of a user's folder. */
#include "config_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_config(yaml_read, NODE_MAP, data, size);
    return 0;
}
