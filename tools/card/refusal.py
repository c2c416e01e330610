"""The one error of `pinter card` that is about the card, not about the way to it."""


class Refusal(Exception):
    """This card must not or cannot be used; the text is one line for the user."""
