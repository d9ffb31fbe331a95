"""How long the fault tests run. Each number may come from the environment for a longer run by hand:

    SHOUT_KILLS=2000 make test T=kill
"""

import os

_DEFAULTS = {
    "SHOUT_KILLS": 200,           # under a light load
    "SHOUT_KILLS_LOADED": 50,     # in the middle of a heavy load
    "SHOUT_OUTAGE_S": 6,          # how long Redis, clamd or the next hop is away
    "SHOUT_VALGRIND_MESSAGES": 1000,
    "SHOUT_NEIGHBOUR_MAILS": 10,  # of the well-behaved customer beside each attack
    "SHOUT_FLOOD": 10,            # percent of each attack; `make test-faults` takes 100
    "SHOUT_CYCLES": 1,            # of all faults of a cluster (tests/kafka/test_faults.py)
}


def scale(name):
    return int(os.environ.get(name, _DEFAULTS[name]))
