"""`virqsim explain`: the story of one interrupt, or why another is not delivered.

    times.py     instants as people write them
    sections.py  the manuals' sections that steps and reasons are cited by
    flows.py     each interrupt's life, from the trace; which ones are worth a look
    bits.py      what changed between two states
    story.py     one interrupt, step by step
    case.py      a vector at a vCPU at an instant
    whynot.py    the checks between an interrupt and its handler, in their order
    pages.py     what is printed
    command.py   `virqsim explain`
"""
