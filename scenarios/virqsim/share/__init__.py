"""A recorded trace that can be given away.

    skeleton.py    a trace without names, addresses and times: what the demand is read from, as text
    properties.py  what a trace shows, by name: a count, a replay that is off, an interrupt that is lost
    shrink.py      the shortest part of a trace that still shows it
    command.py     `virqsim anonymize`
"""
