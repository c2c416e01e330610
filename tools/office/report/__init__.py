"""The report of a day: figures of gates and visits, and signals of brokers with their evidence.

Owns reading and telling only: it changes nothing in the books. `load` reads a day, `figures`, `health` and
`signals` are pure functions of it, `text`, `table`, `page` and `data` write it down. docs/report.md says what
each number means.
"""
