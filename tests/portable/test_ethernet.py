"""The wired network: how the chip is started, what it says, and a chip that is not there."""

from firmware.drivers.ethernet import Ethernet


class Network:
    """MicroPython's module `network`, and its one wired interface."""

    PHY_LAN8720, PHY_W5500 = 1, 102

    def __init__(self, fault=None):
        self.fault = fault
        self.made = []
        self.is_active = self.has_address = False

    def LAN(self, number, **arguments):  # noqa: N802 - the name of the class
        self.made.append((number, arguments))
        if self.fault == "make":
            raise OSError("esp_eth_driver_install failed")
        return self

    def active(self, is_active):
        if self.fault == "active":
            raise OSError("ethernet enable failed")
        self.is_active = is_active

    def isconnected(self):
        return self.has_address


def test_the_chip_gets_its_wires_and_is_switched_on():
    for chip, number in (("lan8720", 1), ("w5500", 102)):
        network = Network()
        Ethernet(network, chip, {"phy_addr": 3, "cs": "pin"})
        assert network.made == [(0, {"phy_type": number, "phy_addr": 3, "cs": "pin"})]
        assert network.is_active


def test_it_says_whether_there_is_an_address():
    network = Network()
    driver = Ethernet(network, "w5500", {})
    assert driver.why == "Ethernet: no cable, or no address"
    for has_address, why in ((True, ""), (False, "Ethernet: no cable, or no address"), (True, "")):
        network.has_address = has_address
        driver.poll(0)
        assert driver.why == why


def test_a_chip_that_does_not_start_is_named_and_not_tried_again():
    for fault, text in (("make", "esp_eth_driver_install failed"), ("active", "ethernet enable failed")):
        network = Network(fault)
        driver = Ethernet(network, "lan8720", {})
        network.fault = None
        network.has_address = True
        for now_ms in range(0, 600000, 1000):
            driver.poll(now_ms)
        assert driver.why == "Ethernet: " + text and len(network.made) == 1
