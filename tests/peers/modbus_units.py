# SPDX-License-Identifier: Apache-2.0
"""Several Modbus units behind one TCP port, served by pymodbus, with 100 addresses in each of the four tables.

  modbus_units.py --port PORT [--units 1,2,7]

What lies beyond is answered with exception 2, a unit that is not there not at all. Registers hold the unit's id times 1000
plus their address; every third bit is on."""

import argparse
import asyncio

import pymodbus
from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartAsyncTcpServer


def unit(number):
    bits = ModbusSequentialDataBlock(0, [i % 3 == 0 for i in range(100)])
    registers = ModbusSequentialDataBlock(0, [number * 1000 + i for i in range(100)])
    return ModbusSlaveContext(co=bits, di=bits, hr=registers, ir=registers, zero_mode=True)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--units", default="1")
    args = parser.parse_args()
    # Version 3.0 (Debian 12) has to be told to take a port again at once; later ones do so by themselves.
    more = {"allow_reuse_address": True} if pymodbus.__version__.startswith("3.0") else {}
    context = ModbusServerContext(slaves={int(n): unit(int(n)) for n in args.units.split(",")}, single=False)
    await StartAsyncTcpServer(context=context, address=("127.0.0.1", args.port), ignore_missing_slaves=True, **more)


asyncio.run(main())
