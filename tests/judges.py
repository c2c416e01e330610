"""Where the drivers are that we did not write, and that judge the simulated MFRC522. For tests only.

They are installed apart from everything else (see requirements-apart.txt) so that no product code can import
them: put one of these folders on `sys.path` inside a test, or run the driver in a process of its own.
"""

import sys
from pathlib import Path

_APART = Path(sys.prefix) / "judges"

MFRC522 = _APART / "mfrc522"
PI_RC522 = _APART / "pi-rc522"
PYTHON_RFID = _APART / "python-rfid"
