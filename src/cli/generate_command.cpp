#include "headwater/base/log.h"
#include "headwater/generate/generator.h"

#include "model_options.h"

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
    // After the end of a document another begins.
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

void add_generate(Command app, Session& session) {
  auto options = std::make_shared<GenerateOptions>();
  Command command = app.command("generate", "Continue a prompt; standard output holds only the continuation");
  command.option("CONFIG", &options->config, "config file; a checkpoint's own config where left out");
  command.option("--model", &options->model, "Hugging Face folder, checkpoint, or save folder").required();
  const Option text = command.option("--prompt", &options->prompt, "text to continue");
  command.option("--prompt-tokens", &options->prompt_tokens, "ids to continue, 1,2,3")
      .separated_by(',')
      .not_with(text);
  command.option("--max-new-tokens", &options->max_new_tokens, "how many tokens to make")
      .between(1, 1 << 20)
      .shows_default();
  command.option("--temperature", &options->sampling.temperature, "0 takes the most likely token")
      .between(0.0, 1e6)
      .shows_default();
  command.option("--top-k", &options->sampling.top_k, "draw from the k most likely tokens; 0: from all")
      .between(std::int64_t{0}, std::int64_t{1} << 31)
      .shows_default();
  command
      .option("--top-p", &options->sampling.top_p,
              "draw from the fewest tokens that together have this probability")
      .between(0.0, 1.0)
      .shows_default();
  command.option("--seed", &options->sampling.seed, "of the draws").shows_default();
  command.flag("--stop-at-eod", &options->stop_at_eod, "end where the document ends");
  command.flag("--print-tokens", &options->print_tokens, "print ids, separated by commas, instead of text");
  command.runs([&session, options] { return generate(session, *options); });
}

}  // namespace headwater
