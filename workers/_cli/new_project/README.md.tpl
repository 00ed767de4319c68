# $project

An order is paid and its stock is reserved, or neither: a saga on Temporal.

```
pip install --editable ".[dev]"
pytest                        # runs the saga on a Temporal server of the tests
```

In a terminal each:

```
sagas dev                     # a Temporal server with its Web UI
python -m $package.worker        # runs the sagas and their steps
python -m $package 4242 lamp     # starts a saga, and prints the outcome
```

`sagas dev` prints the address to export when its port differs from 7233. `sagas list`
and `sagas show ID` show the sagas. The card number `0000` is declined: the saga then
releases the stock.

| file | content |
|---|---|
| `$package/saga.py` | the steps, and the saga |
| `$package/worker.py` | the worker |
| `$package/__main__.py` | starts one saga |
| `$package/client.py` | the connection to Temporal |
| `tests/test_saga.py` | the saga on a real server, with scripted participants |
