// SPDX-License-Identifier: Apache-2.0
// Modbus with modbus-serial, whose authors know nothing of us.
//
//   modbus_serial.js serve PORT          a device: input and holding registers from a table of bytes that rises by 0x11
//                                        from register to register, bits on at every third address; units 1 to 3
//   modbus_serial.js read PORT           a client: what a device answers to each function, a JSON line each
"use strict";
const modbus = require("modbus-serial");

function serve(port) {
  const register = (address) => (0x1234 + 0x1111 * address) & 0xffff;
  const vector = {
    getInputRegister: register,
    getHoldingRegister: register,
    getCoil: (address) => address % 3 === 0,
    getDiscreteInput: (address) => address % 3 === 0,
  };
  const server = new modbus.ServerTCP(vector, { host: "127.0.0.1", port, unitID: 255 });
  server.on("initialized", () => console.log("serving"));
}

async function read(port) {
  const client = new modbus();
  await client.connectTCP("127.0.0.1", { port });
  client.setID(1);
  client.setTimeout(5000);
  const say = (name, value) => console.log(JSON.stringify([name, value]));
  say("coils", (await client.readCoils(0, 8)).data.length);
  say("inputs", (await client.readInputRegisters(0, 4)).data.length);
  const before = (await client.readHoldingRegisters(0, 1)).data[0];
  await client.writeRegister(0, before + 10);
  say("written", (await client.readHoldingRegisters(0, 1)).data[0] - before);
  await client.writeRegisters(0, [before]);
  say("restored", (await client.readHoldingRegisters(0, 1)).data[0] - before);
  say("beyond", await client.readHoldingRegisters(65535, 2).catch((e) => e.modbusCode || String(e)));
  const identity = await client.readDeviceIdentification(1, 0);
  say("vendor", identity.data[0]);
  client.close(() => process.exit(0));
}

const [, , verb, port] = process.argv;
Promise.resolve(verb === "serve" ? serve(Number(port)) : read(Number(port))).catch((e) => {
  console.error(e);
  process.exit(1);
});
