"""The process engine: real local services, started, supervised, measured and stopped.

`engine` answers the SDK; `main` serves it. A service outlives the engine: all that is known about it lies in
the state scope (`records`), and a kernel's process is named by pid, start time and boot (`kernel`), so that
any instance of the scope can find it, watch it and stop it. Nobody imports this room.
"""
