"""What is sent to Kubernetes for an attempt: the chart's template in, a Job as a plain dict out. Pure."""
