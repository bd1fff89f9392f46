// title: The training run whose recommendations are in the graph: model, cut-off, metrics
// topic: recommendations
// column run: the run's id
// column created: when it was published
// column model: the recommender
// column version: of the model
// column cutoff: the model knows nothing after it
// column metrics: what evaluation measured, as JSON
// column config: the settings, as JSON
// reads: Run.current, Run.metrics, Run.config
MATCH (run:Run)
WHERE run.current
RETURN run.id AS run, run.created AS created, run.model AS model, run.version AS version, run.cutoff AS cutoff,
       run.metrics AS metrics, run.config AS config
ORDER BY created DESC
