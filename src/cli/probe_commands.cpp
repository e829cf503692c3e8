#include "headwater/checkpoint/hf_tensors.h"
#include "headwater/checkpoint/safetensors.h"
#include "headwater/generate/probe.h"
#include "headwater/nn/model_units.h"

#include "model_options.h"

namespace headwater {
namespace {

struct ProbeOptions {
  std::string model, config, input, output;
};

// Probes compute in fp32 unless the command line says otherwise, whatever the checkpoint's run used.
RunSettings probe_settings(Session& session, const OpenedModel& opened) {
  TrainingConfig training = opened.config.run.training;
  if (training.dtype == "auto" || opened.config.origin.at("training.dtype") != "command line")
    training.dtype = "fp32";
  return choose_settings(training, session.world);
}

int write_logits(Session& session, const ProbeOptions& options) {
  OpenedModel opened(session, options.model, options.config);
  session.world.set_timeout(opened.config.run.training.comm_timeout_s);
  const std::int64_t vocabulary = opened.weights->model().vocab_size;
  const ProbeBatch batch = read_probe_batch(options.input, false, vocabulary);
  std::vector<float> logits =
      probe_logits(session.world, opened.config.run, *opened.weights, probe_settings(session, opened), batch,
                   document_options(opened.config.run.data));
  if (session.world.rank() == 0)
    write_safetensors(
        options.output,
        {{"logits", TensorView(logits.data(), DType::f32, {batch.samples, batch.sequence, vocabulary})}});
  return 0;
}

int write_gradients(Session& session, const ProbeOptions& options) {
  OpenedModel opened(session, options.model, options.config);
  session.world.set_timeout(opened.config.run.training.comm_timeout_s);
  const ModelConfig& model = opened.weights->model();
  const ProbeBatch batch = read_probe_batch(options.input, true, model.vocab_size);
  ProbeGradients result =
      probe_gradients(session.world, opened.config.run, *opened.weights, probe_settings(session, opened),
                      batch, document_options(opened.config.run.data));
  if (session.world.rank() != 0) return 0;
  std::vector<NamedTensor> tensors;
  float loss = static_cast<float>(result.loss);
  tensors.push_back({"loss", TensorView(&loss, DType::f32, {1})});
  std::vector<std::vector<float>> storage;
  const std::vector<HfTensor> names = hf_tensors(model);
  storage.reserve(names.size());
  for (const HfTensor& tensor : names) {
    std::vector<float>& values = storage.emplace_back(static_cast<std::size_t>(tensor.shape.elements()));
    const TensorView view(values.data(), DType::f32, tensor.shape);
    assemble(
        tensor,
        [&](const std::string& canonical) {
          std::vector<float>& gradient = result.gradients.at(canonical);
          return TensorView(gradient.data(), DType::f32, {static_cast<std::int64_t>(gradient.size())});
        },
        view);
    tensors.push_back({"grad." + tensor.name, view});
  }
  write_safetensors(options.output, tensors);
  return 0;
}

}  // namespace

void add_probes(Command app, Session& session) {
  const auto add = [&](const char* name, const char* help, const char* input, const char* input_help,
                       auto run) {
    auto options = std::make_shared<ProbeOptions>();
    Command command = app.command(name, help);
    command.option("CONFIG", &options->config, "config file; a checkpoint's own config where left out");
    command.option("--model", &options->model, "Hugging Face folder, checkpoint, or save folder").required();
    command.option(input, &options->input, input_help).required();
    command.option("--out", &options->output, "safetensors file to write").required();
    command.runs([&session, options, run] { return run(session, *options); });
  };
  add("logits", "Write the logits of given tokens", "--tokens", "safetensors file with `tokens` [B, S]",
      write_logits);
  add("gradients", "Write loss and gradients of a given batch, under the names of the Hugging Face folder",
      "--batch", "safetensors file with `tokens` and `labels` [B, S]", write_gradients);
}

}  // namespace headwater
