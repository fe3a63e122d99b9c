# SPDX-License-Identifier: Apache-2.0
"""What goes over the wire between the gateway and a Modbus device, kept by somebody who stands in between."""

import socket
import struct
import threading


class Wire(threading.Thread):
    """Between gateway and PLC: passes all on, and keeps every write that really went to the device."""

    def __init__(self, plc):
        super().__init__(daemon=True)
        self.plc = plc
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.writes = []
        self.deaf = False  # answers are not passed on
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            device = socket.create_connection(("127.0.0.1", self.plc))
            threading.Thread(target=self.pass_on, args=(client, device, True), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(device, client, False), daemon=True).start()

    def pass_on(self, source, target, requests):
        data = b""
        try:
            while part := source.recv(65536):
                data += part
                while len(data) >= 6 and len(data) >= (whole := 6 + struct.unpack(">H", data[4:6])[0]):
                    frame, data = data[:whole], data[whole:]
                    if requests and frame[7] in (5, 6, 15, 16, 22, 23):
                        self.writes.append(frame[7:])
                    if requests or not self.deaf:
                        target.sendall(frame)
        except OSError:
            pass
        for s in (source, target):
            s.close()

    def close(self):
        self.listener.close()
