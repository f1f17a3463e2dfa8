"""The chart's values as types, and what is generated from them: values.schema.json and the tables of its README.

For whoever changes the chart; no verb of the controller reads this. Defaults are in values.yaml alone.
"""
