"""The wired network: a chip that is started once, and then finds cable and address by itself.

Owns that start. `network` is MicroPython's module; its `LAN` drives a LAN8720 beside the processor and a
W5500 on a bus of its own, and looks after cable and DHCP beside Python.
"""


class Ethernet:
    """The chip `chip` ("lan8720", "w5500"). `wires`: arguments of `network.LAN`; pins and bus are objects.

    `why`: "" while there is an address, else why not. A chip that does not start is not tried again before
    the board starts: each try would cost memory and 0.1 s without a poll.
    """

    def __init__(self, network, chip: str, wires: dict):
        self._lan = None
        self.why = "Ethernet: no cable, or no address"
        try:
            lan = network.LAN(0, phy_type=getattr(network, "PHY_" + chip.upper()), **wires)
            lan.active(True)
            self._lan = lan
        except OSError as error:
            self.why = "Ethernet: %s" % error

    def poll(self, now_ms: int) -> None:
        """Look how it stands. Never waits."""
        if self._lan:
            self.why = "" if self._lan.isconnected() else "Ethernet: no cable, or no address"
