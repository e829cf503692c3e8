#include "headwater/nn/embedding.h"

#include "vocabulary.h"

namespace headwater {

Embedding::Embedding(const UnitSite& site)
    : description_(site), table_(vocabulary_matrix(description_, site.model, "embedding.weight")) {
  UnitDescription& d = description_;
  d.reads(BatchArray::tokens);
  if (site.model.tied) d.tie_to_head(table_);
  if (!d.tokens_are_cut()) return;
  const Shape all{d.tokens(), site.model.hidden};
  out_all_ = d.forward_tensor("out", all, d.compute(), Kept::scratch, Dropped::never);
  if (d.parameters().back().trained)
    d_out_all_ = d.backward_tensor("d_out.all", all, d.compute(), Kept::scratch);
}

void Embedding::forward(const BlockContext& context, TensorView out) const {
  const TensorView table = context.weight(table_), all = out_all_ ? context[out_all_] : out;
  context.backend.run(op::Embedding{.tokens = context.batch.tokens,
                                    .table = table,
                                    .first = context.ranks.rank() * table.rows(),
                                    .out = all});
  context.sum(all, out);
}

void Embedding::backward(const BlockContext& context, TensorView d_out) const {
  const TensorView d_table = context.gradient(table_);
  if (!d_table) return;
  context.backend.run(op::EmbeddingBackward{.tokens = context.batch.tokens,
                                            .d_out = context.gather(d_out, context[d_out_all_]),
                                            .first = context.ranks.rank() * d_table.rows(),
                                            .d_table = d_table});
}

}  // namespace headwater
