#include "headwater/plan/search/auto_layout.h"
#include "headwater/run/global_batch.h"
#include "headwater/train/evaluate.h"
#include "headwater/train/state_io.h"

#include "model_options.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <iostream>

namespace headwater {
namespace {

struct EvalOptions {
  std::string model, config;
  bool json = false;
};

int evaluate_model(Session& session, const EvalOptions& options) {
  OpenedModel opened(session, options.model, options.config);
  RunConfig& run = opened.config.run;
  run.model.attention_dropout = run.model.hidden_dropout = 0.0;
  const std::int64_t sequence =
      run.training.seq_length > 0 ? run.training.seq_length : run.model.max_position_embeddings;
  const std::optional<SampleStream> stream = validation_stream(run, sequence);
  if (!stream) throw UserError("no dataset to evaluate on: name one with --data.validation=PREFIX");
  session.world.set_timeout(run.training.comm_timeout_s);

  const RunSettings settings = choose_settings(run.training, session.world);
  const std::int64_t replicas = data_parallel_size(run.parallel, session.world.size());
  const std::int64_t micro = run.training.micro_batch_size;
  const std::int64_t global_batch = std::max(run.training.global_batch_size, micro * replicas);
  const int micro_batches = static_cast<int>(global_batch / (micro * replicas));
  const RankLayoutRequest request = forward_request(run, settings, {micro, sequence}, micro_batches);
  const RankLayout layout(with_layers_found(request, settings.dtype, session.world.size()),
                          session.world.rank(), session.world.size());
  Engine engine(session.world, layout, make_backend(settings, session.world, layout.host_bytes()));
  load_weights(engine.store(), engine.backend(), *opened.weights);
  const Evaluation result =
      evaluate(engine, *stream, document_options(run.data), run.training.eval_iters * global_batch);
  if (session.out() == nullptr) return 0;
  const double perplexity = std::exp(result.loss());
  if (options.json)
    *session.out() << nlohmann::json{{"loss", result.loss()},
                                     {"perplexity", perplexity},
                                     {"tokens", static_cast<std::int64_t>(result.targets)}}
                          .dump()
                   << std::endl;
  else
    *session.out() << fmt::format("loss {:.6f}, perplexity {:.4f}, over {} tokens", result.loss(), perplexity,
                                  static_cast<std::int64_t>(result.targets))
                   << std::endl;
  return 0;
}

}  // namespace

void add_eval(Command app, Session& session) {
  auto options = std::make_shared<EvalOptions>();
  Command command =
      app.command("eval", "Loss and perplexity of a model on a dataset (data.validation, or the split)");
  command.option("CONFIG", &options->config, "config file; a checkpoint's own config where left out");
  command.option("--model", &options->model, "Hugging Face folder, checkpoint, or save folder").required();
  command.flag("--json", &options->json, "print one JSON object");
  command.runs([&session, options] { return evaluate_model(session, *options); });
}

}  // namespace headwater
