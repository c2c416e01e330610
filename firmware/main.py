"""Starts the gate: the board's pins, the application, nothing else."""

import asyncio
import gc

import board
from machine import Pin

for _number in (board.RELAY_IN, board.RELAY_OUT):  # before anything that could fail or take time
    Pin(_number, Pin.OUT, value=0)

gc.threshold(8192)  # else loading fills the heap once before it is tidied, and what stays lies scattered

from firmware.app import App

gate = App(board)
try:
    asyncio.run(gate.run())
except KeyboardInterrupt:
    gate.let_go()
