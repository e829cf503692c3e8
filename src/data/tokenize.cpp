#include "headwater/data/tokenize.h"

#include "headwater/base/error.h"
#include "headwater/base/threads.h"
#include "headwater/data/tokenizer.h"

#include "corpus.h"
#include "indexed_dataset_writer.h"
#include "ordered_encoder.h"

#include <span>

namespace headwater {
namespace {

void write_piece(const EncodedPiece& piece, IndexedDatasetWriter& writer) {
  const std::span<const std::int32_t> tokens = piece.tokens;
  std::size_t begin = 0;
  for (const std::size_t end : piece.document_ends) {
    writer.append(tokens.subspan(begin, end - begin));
    writer.end_sequence();
    writer.end_document();
    begin = end;
  }
  writer.append(tokens.subspan(begin));
}

}  // namespace

TokenizeProgress tokenize(const TokenizeOptions& options, const TokenizeCallback& progress) {
  if (options.threads < 0)
    throw UserError("{} threads; 0 means as many as this process may use", options.threads);
  const std::vector<CorpusFile> files = list_corpus(options.inputs);
  const auto tokenizer = make_tokenizer(options.tokenizer);
  CorpusReader reader(files, options.skip_invalid);
  IndexedDatasetWriter writer(options.output, token_type_for(tokenizer->vocab_size()));
  OrderedEncoder encoder(reader, *tokenizer, options.skip_invalid,
                         options.threads > 0 ? options.threads : available_cores());

  TokenizeProgress done;
  done.total_bytes = total_bytes(files);
  while (const auto piece = encoder.next()) {
    write_piece(*piece, writer);
    done.bytes += piece->bytes;
    done.empty += piece->empty;
    done.skipped += piece->skipped;
    done.tokens = writer.tokens();
    done.documents = writer.documents();
    if (progress) progress(done);
  }
  if (done.documents == 0)
    throw UserError("no document in {} files: {} are empty, {} were left out as invalid", files.size(),
                    done.empty, done.skipped);
  writer.finish();
  return done;
}

}  // namespace headwater
