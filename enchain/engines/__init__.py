"""The engines that ship with enchain, one room each. Nothing imports them."""
