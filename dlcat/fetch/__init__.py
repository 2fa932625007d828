"""From sources to verified files: plan, transport, store, unpack, verify and import by hand.

Work yields the records of `dlcat.fetch.records`; `fetch` is in `dlcat.fetch.fetch`, `plan` in `dlcat.fetch.plan`,
`verify` in `dlcat.fetch.care.verify` and `import_files` in `dlcat.fetch.by_hand`.
"""

from dlcat.fetch.store import State as State
from dlcat.fetch.store import Store as Store
from dlcat.verbs import make_callable

make_callable(__name__)
