# SPDX-License-Identifier: Apache-2.0
"""A Modbus TCP device, served by pymodbus, that replays a recorded pump: each read of the input block advances by one
row. What was served is logged, a JSON line each, before the reply leaves: that log is the account.

  skab_device.py --port PORT --csv FILE --log FILE [--rate READS_PER_SECOND]

Holding registers from 0, big endian: uint32 row number, then 8 float32 (the recording's columns 2..9)."""

import argparse
import asyncio
import csv
import json
import struct
import time

import pymodbus
from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartAsyncTcpServer

SENSORS = 8
REGISTERS = 2 + 2 * SENSORS


class Recording(ModbusSequentialDataBlock):
    def __init__(self, rows, log, first):
        super().__init__(1, [0] * 200)
        self.rows, self.log, self.served = rows, log, first

    def getValues(self, address, count=1):
        address -= 1  # pymodbus counts a block's addresses from 1
        row = self.rows[self.served % len(self.rows)]
        data = struct.pack(">I8f", self.served, *row)
        registers = list(struct.unpack(f">{REGISTERS}H", data)) + [0] * 200
        if address == 0:  # a whole poll reads from the start
            bits = [struct.unpack(">I", struct.pack(">f", v))[0] for v in row]
            self.log.write(json.dumps({"row": self.served, "bits": bits, "ns": time.time_ns()}) + "\n")
            self.log.flush()
            self.served += 1
        return registers[address : address + count]


def read_rows(path):
    with open(path, newline="") as file:
        lines = list(csv.reader(file, delimiter=";"))[1:]
    return [[float(v) for v in line[1 : 1 + SENSORS]] for line in lines]


def served_so_far(path):
    try:
        with open(path) as file:
            return sum(1 for _ in file)
    except FileNotFoundError:
        return 0


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--csv", required=True)
    parser.add_argument("--log", required=True)
    args = parser.parse_args()
    first = served_so_far(args.log)
    with open(args.log, "a") as log:
        block = Recording(read_rows(args.csv), log, first)
        device = ModbusSlaveContext(hr=block, ir=block, di=block, co=block)
        # Version 3.0 (Debian 12) has to be told to take a port again at once; later ones do so by themselves.
        more = {"allow_reuse_address": True} if pymodbus.__version__.startswith("3.0") else {}
        context = ModbusServerContext(slaves=device, single=True)
        await StartAsyncTcpServer(context=context, address=("127.0.0.1", args.port), **more)


asyncio.run(main())
