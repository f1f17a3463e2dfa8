"""The controller: recipes in, Kubernetes Jobs or local processes out."""
