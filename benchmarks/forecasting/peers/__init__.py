"""How other scalers forecast, written anew from what they publish, behind the project's own port.

They forecast points. A point is all quantiles at once, which is what acting upon it means.
"""
