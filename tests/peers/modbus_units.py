# SPDX-License-Identifier: Apache-2.0
"""Several Modbus units behind one TCP port, served by pymodbus, with 100 addresses (or --size) in each of the four tables.

  modbus_units.py --port PORT [--units 1,2,7] [--size 100] [--set ADDRESS:VALUE…] [--read-only ADDRESS…]

What lies beyond is answered with exception 2, a unit that is not there not at all. Registers hold the unit's id times 1000
plus their address, or what was set; every third bit is on. A write to a read-only register is answered with exception 2 too."""

import argparse
import asyncio

import pymodbus
from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartAsyncTcpServer


class Unit(ModbusSlaveContext):
    read_only = frozenset()

    def validate(self, function, address, count=1):
        writes = function in (6, 16, 22) and self.read_only & set(range(address, address + count))
        return not writes and super().validate(function, address, count)


def unit(number, size, values):
    # pymodbus counts a block's addresses from 1
    bits = ModbusSequentialDataBlock(1, [i % 3 == 0 for i in range(size)])
    registers = ModbusSequentialDataBlock(1, [values.get(i, number * 1000 + i) for i in range(size)])
    return Unit(co=bits, di=bits, hr=registers, ir=registers)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--units", default="1")
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--set", nargs="*", default=[])
    parser.add_argument("--read-only", nargs="*", type=int, default=[])
    args = parser.parse_args()
    Unit.read_only = frozenset(args.read_only)
    values = dict(map(int, pair.split(":")) for pair in args.set)
    # Version 3.0 (Debian 12) has to be told to take a port again at once; later ones do so by themselves.
    more = {"allow_reuse_address": True} if pymodbus.__version__.startswith("3.0") else {}
    units = {int(n): unit(int(n), args.size, values) for n in args.units.split(",")}
    context = ModbusServerContext(slaves=units, single=False)
    await StartAsyncTcpServer(context=context, address=("127.0.0.1", args.port), ignore_missing_slaves=True, **more)


asyncio.run(main())
