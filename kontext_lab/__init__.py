"""kontext_lab: parameter sweeps over FLUX.1 Kontext image editing, tracked in MLflow."""
