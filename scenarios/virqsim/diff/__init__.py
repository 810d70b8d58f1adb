"""Two runs of one guest, interrupt by interrupt.

    flights.py   the life of each interrupt, read from a trace
    pairs.py     the interrupts of two runs side by side, by what caused them
    command.py   `virqsim diff`
"""
