// SPDX-License-Identifier: Apache-2.0
// duckdb.mjs FILE QUERY…: runs each on the database FILE; says how long each took and what the last one gave, as JSON.
import { DuckDBInstance } from '@duckdb/node-api'

const [file, ...queries] = process.argv.slice(2)
const instance = await DuckDBInstance.create(':memory:')
const connection = await instance.connect()
await connection.run(`ATTACH '${file}' AS d (STORAGE_VERSION 'latest')`)
await connection.run('USE d')
const ms = []
let rows = []
for (const query of queries) {
  const begun = performance.now()
  rows = (await connection.runAndReadAll(query)).getRows()
  ms.push(performance.now() - begun)
}
console.log(JSON.stringify({ ms, rows }, (_, v) => (typeof v === 'bigint' ? String(v) : v)))
await connection.run('USE memory')
await connection.run('DETACH d')
