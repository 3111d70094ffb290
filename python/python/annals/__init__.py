"""An embedded flight recorder and checkpoint registry for inference loops.

```python
import annals

with annals.open("data") as journal:
    recorder = journal.recorder("dqn_agent", "ETH/USDT", actions=["BUY", "SELL", "HOLD"])
    decision = recorder.log(0, [0.85, 0.10, 0.05], [0.1, 0.2, 0.3])
    recorder.outcome(decision, reward=1.5)
    journal.flush()
```
"""

from __future__ import annotations

from annals._annals import (
    Checkpoint,
    Episode,
    Journal,
    Recorder,
    Registry,
    Retention,
    RetentionPlan,
    Timer,
    Watch,
    id_number,
    id_text,
    in_memory,
    open,
)
from annals.errors import (
    AnnalsError,
    BusyError,
    ConflictError,
    DamagedError,
    EndedError,
    InvalidInputError,
    NotFoundError,
    RefusedBySystemError,
    UnsupportedError,
)
from annals.handler import LoggingHandler
from annals.reading import (
    ArrowRows,
    ArrowStream,
    Decision,
    Decisions,
    Entry,
    Follow,
    Reader,
    Rows,
    Stats,
    StatsRows,
)

__all__ = [
    "AnnalsError",
    "ArrowRows",
    "ArrowStream",
    "BusyError",
    "Checkpoint",
    "ConflictError",
    "DamagedError",
    "Decision",
    "Decisions",
    "EndedError",
    "Entry",
    "Episode",
    "Follow",
    "InvalidInputError",
    "Journal",
    "LoggingHandler",
    "NotFoundError",
    "Reader",
    "Recorder",
    "RefusedBySystemError",
    "Registry",
    "Retention",
    "RetentionPlan",
    "Rows",
    "Stats",
    "StatsRows",
    "Timer",
    "UnsupportedError",
    "Watch",
    "id_number",
    "id_text",
    "in_memory",
    "open",
]
