#include "headwater/base/log.h"
#include "headwater/generate/generator.h"

#include "model_options.h"

#include <CLI/CLI.hpp>

#include <iostream>

namespace headwater {
namespace {

struct GenerateOptions {
  std::string model, config, prompt;
  std::vector<std::int32_t> prompt_tokens;
  std::int64_t max_new_tokens = 64;
  Sampling sampling{1.0, 0, 1.0, 1234};
  bool stop_at_eod = false, print_tokens = false;
};

int generate(Session& session, const GenerateOptions& options) {
  session.one_rank_only("generate");
  OpenedModel opened(session, options.model, options.config);
  std::vector<std::int32_t> prompt = options.prompt_tokens;
  if (prompt.empty()) prompt = opened.text_tokenizer().encode(options.prompt);
  const DocumentOptions documents = document_options(opened.config.run.data);
  if (prompt.empty()) {
    if (documents.eod < 0)
      throw UserError("the prompt is empty, and no end of document is known to begin with: give --data.eod");
    // What follows the end of a document is the beginning of another.
    prompt.push_back(static_cast<std::int32_t>(documents.eod));
  }
  if (options.stop_at_eod && documents.eod < 0)
    throw UserError("--stop-at-eod needs the end of document's token: give --data.eod or --data.tokenizer");
  const Tokenizer* tokenizer = options.print_tokens ? nullptr : &opened.text_tokenizer();
  const std::int64_t length = static_cast<std::int64_t>(prompt.size()) + options.max_new_tokens;
  if (length > opened.weights->model().max_position_embeddings)
    log::warning("{} tokens are more than the model's {} positions: what comes after them it has never seen",
                 length, opened.weights->model().max_position_embeddings);

  Generator generator(*opened.weights, choose_settings(opened.config.run.training, session.world), length,
                      documents);
  std::vector<std::int32_t> next = prompt;
  for (std::int64_t i = 0; i < options.max_new_tokens; ++i) {
    const std::int32_t token = sample_token(generator.feed(next), options.sampling, i);
    if (options.stop_at_eod && token == documents.eod) break;
    if (tokenizer == nullptr)
      std::cout << (i == 0 ? "" : ",") << token << std::flush;
    else
      std::cout << tokenizer->token_text(token) << std::flush;
    next = {token};
  }
  std::cout << std::endl;
  return 0;
}

}  // namespace

void add_generate(CLI::App& app, Session& session) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App* command =
      app.add_subcommand("generate", "Continue a prompt; standard output holds only the continuation");
  command->add_option("CONFIG", options->config, "config file; a checkpoint's own config where left out");
  command->add_option("--model", options->model, "Hugging Face folder, checkpoint, or save folder")
      ->required();
  CLI::Option* text = command->add_option("--prompt", options->prompt, "text to continue");
  command->add_option("--prompt-tokens", options->prompt_tokens, "ids to continue, 1,2,3")
      ->delimiter(',')
      ->excludes(text);
  command->add_option("--max-new-tokens", options->max_new_tokens, "how many tokens to make")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20))
      ->capture_default_str();
  command->add_option("--temperature", options->sampling.temperature, "0 takes the most likely token")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command->add_option("--top-k", options->sampling.top_k, "draw from the k most likely tokens; 0: from all")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 31))
      ->capture_default_str();
  command
      ->add_option("--top-p", options->sampling.top_p,
                   "draw from the fewest tokens that together have this probability")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--seed", options->sampling.seed, "of the draws")->capture_default_str();
  command->add_flag("--stop-at-eod", options->stop_at_eod, "end where the document ends");
  command->add_flag("--print-tokens", options->print_tokens,
                    "print ids, separated by commas, instead of text");
  command->callback(
      [&session, options] { session.command = [&session, options] { return generate(session, *options); }; });
}

}  // namespace headwater
