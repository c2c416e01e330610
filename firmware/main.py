"""Starts the gate: relays off, then the application that starter.py chooses, nothing else."""

import asyncio

import board
from machine import Pin

for _number in (board.RELAY_IN, board.RELAY_OUT):  # before anything that could fail or take time
    Pin(_number, Pin.OUT, value=0)

try:
    from starter import load

    gate = load(board)
    del load  # else all of starter.py stays in memory
    asyncio.run(gate.run())
except KeyboardInterrupt:
    from starter import let_go

    let_go()
except Exception as error:  # noqa: BLE001 - the next boot tries again, or something else
    from starter import failed

    failed(error)
