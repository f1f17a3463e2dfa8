"""The demo's own part: synthetic drives, and a base model that has the bias, trained honestly on straightened futures.

`python -m touge.demo` makes both; `python -m controller submit jobs/demo.yaml` then removes the bias. In the order of
the flow: `pipeline` runs stages, `bias` straightens futures, `base` trains the model.
May import all of touge; nothing imports it.
"""
