# Made by `python -m tools.board`: what every board.py has.

NAME: str
SPI_ID: int
SPI_BAUD: int
SPI_SCK: int
SPI_MOSI: int
SPI_MISO: int
READER_IN_CS: int
READER_IN_RST: int
READER_IN_IRQ: int | None
READER_OUT_CS: int
READER_OUT_RST: int
READER_OUT_IRQ: int | None
RELAY_IN: int
RELAY_OUT: int
SENSOR_IN: int
SENSOR_OUT: int
FIRE: int
TAMPER: int | None
GUARD_IN: int
GUARD_OUT: int
LAMP_GREEN: int
LAMP_RED: int
BUZZER: int | None
I2C_SDA: int | None
I2C_SCL: int | None
SENSOR_ACTIVE: int
ETHERNET: tuple[str, dict] | None
EXPANDER: tuple[int, int] | None
