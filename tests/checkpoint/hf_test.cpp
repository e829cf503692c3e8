#include "headwater/base/error.h"
#include "headwater/nn/model_units.h"
#include "src/checkpoint/hf_folder.h"
#include "src/checkpoint/hf_names.h"
#include "tests/support/models.h"
#include "tests/support/temporary_folder.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

namespace headwater {
namespace {

const Path kGolden = Path(HEADWATER_SOURCE_DIR) / "tests/golden";

std::vector<float> read_all(const WeightSource& source, const std::string& name, const Shape& shape) {
  std::vector<float> values(static_cast<std::size_t>(shape.elements()));
  source.read(name, whole(shape), {values.data(), DType::f32, shape});
  return values;
}

std::vector<float> read_all(const SafetensorsReader& file, const std::string& name) {
  const StoredTensor& tensor = file.at(name);
  std::vector<float> values(static_cast<std::size_t>(tensor.shape.elements()));
  file.read(tensor, 0, {values.data(), DType::f32, tensor.shape});
  return values;
}

std::string error_of(const Path& folder) {
  try {
    HfFolder opened(folder);
    return "";
  } catch (const UserError& error) {
    return error.what();
  }
}

void copy_golden(const Path& to) {
  for (const char* name : {"config.json", "model.safetensors"})
    std::filesystem::copy_file(kGolden / "yuan2-odd" / name, to / name);
}

void change_config(const Path& folder, const std::string& from, const std::string& to) {
  std::string text = read_text(folder / "config.json");
  const std::size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  std::filesystem::remove(folder / "config.json");
  write_text_atomically(folder / "config.json", text.replace(at, from.size(), to));
}

TEST(HfFolder, ReadsTheModelSection) {
  const ModelConfig model = read_hf_config(kGolden / "yuan2-odd" / "config.json");
  EXPECT_EQ(model.family, "yuan2");
  EXPECT_EQ(model.num_layers, 2);
  EXPECT_EQ(model.hidden_size, 24);
  EXPECT_EQ(model.ffn_hidden_size, 40);
  EXPECT_EQ(model.num_attention_heads, 3);
  EXPECT_EQ(model.num_query_groups, 3);
  EXPECT_EQ(model.kv_channels, 8);
  EXPECT_EQ(model.vocab_size, 77);
  EXPECT_EQ(model.max_position_embeddings, 33);
  EXPECT_EQ(model.norm_epsilon, 1e-6);
  EXPECT_EQ(model.attention_dropout, 0.0);
  EXPECT_TRUE(model.lfa);
  EXPECT_FALSE(model.untie_embeddings_and_output_weights);
}

TEST(HfFolder, HoldsEveryParameterOfTheModel) {
  for (const char* name : {"yuan2", "yuan2-odd"}) {
    const HfFolder folder(kGolden / name);
    const SafetensorsReader file(kGolden / name / "model.safetensors");
    double ours = 0.0, theirs = 0.0;  // every element once: the sums of squares agree
    for (const ParameterSpec& parameter : parameters(expand(folder.model()))) {
      ASSERT_TRUE(folder.has(parameter.name)) << parameter.name;
      for (const float value : read_all(folder, parameter.name, parameter.shape))
        ours += double{value} * value;
    }
    for (const StoredTensor& tensor : file.tensors())
      for (const float value : read_all(file, tensor.name)) theirs += double{value} * value;
    EXPECT_NEAR(ours, theirs, 1e-9 * theirs);
    EXPECT_FALSE(folder.has("head.weight"));
    EXPECT_THROW(read_all(folder, "head.weight", {1}), UserError);
  }
}

// Worked out by hand. The matrix whose halves q_proj and k_proj are has the rows [head][q | k][D]. With
// three heads of D = 8, q_proj has q0 k0 q1, and k_proj has k1 q2 k2.
TEST(HfFolder, SeparatesQueriesAndKeys) {
  const HfFolder folder(kGolden / "yuan2-odd");
  const SafetensorsReader file(kGolden / "yuan2-odd" / "model.safetensors");
  const auto q_proj = read_all(file, "model.layers.1.self_attn.q_proj.weight");
  const auto k_proj = read_all(file, "model.layers.1.self_attn.k_proj.weight");
  const auto q = read_all(folder, "layers.1.attention.q.weight", {24, 24});
  const auto k = read_all(folder, "layers.1.attention.k.weight", {24, 24});
  const auto row = [](const std::vector<float>& matrix, std::size_t i) {
    return std::vector<float>(matrix.begin() + static_cast<std::ptrdiff_t>(i * 24),
                              matrix.begin() + static_cast<std::ptrdiff_t>(i * 24 + 24));
  };
  for (std::size_t d = 0; d < 8; ++d) {
    EXPECT_EQ(row(q, d), row(q_proj, d));            // q of head 0
    EXPECT_EQ(row(k, d), row(q_proj, 8 + d));        // k of head 0
    EXPECT_EQ(row(q, 8 + d), row(q_proj, 16 + d));   // q of head 1
    EXPECT_EQ(row(k, 8 + d), row(k_proj, d));        // k of head 1
    EXPECT_EQ(row(q, 16 + d), row(k_proj, 8 + d));   // q of head 2
    EXPECT_EQ(row(k, 16 + d), row(k_proj, 16 + d));  // k of head 2
  }
}

TEST(HfFolder, NamesTheActivatedHalfGateAndPutsTapsFirst) {
  const HfFolder folder(kGolden / "yuan2-odd");
  const SafetensorsReader file(kGolden / "yuan2-odd" / "model.safetensors");
  EXPECT_EQ(read_all(folder, "layers.0.mlp.gate.weight", {40, 24}),
            read_all(file, "model.layers.0.mlp.up_proj.weight"));
  EXPECT_EQ(read_all(folder, "layers.0.mlp.up.weight", {40, 24}),
            read_all(file, "model.layers.0.mlp.gate_proj.weight"));
  const auto ours = read_all(folder, "layers.0.lfa.conv1.weight", {2, 12, 24});
  const auto theirs = read_all(file, "model.layers.0.self_attn.lf_gate.conv1.weight");
  for (std::size_t tap = 0; tap < 2; ++tap)
    for (std::size_t out = 0; out < 12; ++out)
      for (std::size_t in = 0; in < 24; ++in)
        ASSERT_EQ(ours[(tap * 12 + out) * 24 + in], theirs[(out * 24 + in) * 2 + tap]);
}

TEST(HfFolder, ReadsAnyPartInAnyPrecision) {
  const HfFolder folder(kGolden / "yuan2-odd");
  for (const char* name : {"layers.0.attention.k.weight", "layers.0.attention.o.weight"}) {
    const auto all = read_all(folder, name, {24, 24});
    const Slice columns = part({24, 24}, 1, 5, 7);
    std::vector<double> wide(24 * 7);
    folder.read(name, columns, {wide.data(), DType::f64, {24, 7}});
    const Slice range{columns.box, 10, 20};  // from the middle of one row to the middle of another
    std::vector<bf16> narrow(20);
    folder.read(name, range, {narrow.data(), DType::bf16, {20}});
    for (std::size_t i = 0; i < wide.size(); ++i) EXPECT_EQ(wide[i], double{all[i / 7 * 24 + 5 + i % 7]});
    for (std::size_t i = 0; i < 20; ++i)
      EXPECT_EQ(narrow[i].bits, bf16(static_cast<float>(wide[10 + i])).bits);
  }
}

// Export reads the table in the other direction. It must give back the same tensors, under the names and
// shapes of the golden gradients.
TEST(HfTensors, GiveTheFileBack) {
  for (const char* name : {"yuan2", "yuan2-odd"}) {
    const HfFolder folder(kGolden / name);
    const SafetensorsReader file(kGolden / name / "model.safetensors");
    const SafetensorsReader expected(kGolden / name / "expected-none.safetensors");
    std::map<std::string, std::vector<float>> canonical;
    std::map<std::string, Shape> shapes;
    for (const ParameterSpec& parameter : parameters(expand(folder.model()))) {
      canonical[parameter.name] = read_all(folder, parameter.name, parameter.shape);
      shapes[parameter.name] = parameter.shape;
    }
    std::set<std::string> gradients{"logits", "loss"};
    for (const HfTensor& tensor : hf_tensors(folder.model())) {
      std::vector<float> made(static_cast<std::size_t>(tensor.shape.elements()));
      assemble(tensor,
               [&](const std::string& wanted) {
                 return TensorView(canonical.at(wanted).data(), DType::f32, shapes.at(wanted));
               },
               {made.data(), DType::f32, tensor.shape});
      EXPECT_EQ(made, read_all(file, tensor.name)) << tensor.name;
      EXPECT_EQ(expected.at("grad." + tensor.name).shape, tensor.shape) << tensor.name;
      gradients.insert("grad." + tensor.name);
    }
    for (const StoredTensor& tensor : expected.tensors())
      EXPECT_TRUE(gradients.contains(tensor.name)) << tensor.name;
    EXPECT_EQ(gradients.size(), expected.tensors().size());
  }
}

std::string error_of(const std::vector<ParameterSpec>& parameters, const std::vector<HfName>& names) {
  try {
    static_cast<void>(hf_tensors(parameters, names));
    return "";
  } catch (const UserError& error) {
    return error.what();
  }
}

TEST(HfTensors, AParameterWithoutANameIsRefused) {
  std::vector<ParameterSpec> all = parameters(expand(test::small_model({}, 8)));
  EXPECT_EQ(error_of(all, hf_names("yuan2")), "");
  all[4].name = "layers.0.attention.q.bias";
  EXPECT_EQ(error_of(all, hf_names("yuan2")),
            "this family has no Hugging Face name for the parameter layers.0.attention.q.bias");
}

// An MLP without a gate has names for all of its parameters, but Yuan's has a gate.
TEST(HfTensors, ABlockIsThereWholeOrNotAtAll) {
  std::vector<ParameterSpec> all = parameters(expand(test::small_model({}, 8)));
  std::erase_if(all, [](const ParameterSpec& p) { return p.name == "layers.1.mlp.gate.weight"; });
  EXPECT_EQ(error_of(all, hf_names("yuan2")),
            "this model has layers.1.mlp.up.weight, but not layers.1.mlp.gate.weight, which Hugging Face's "
            "models of this family have too");
  EXPECT_EQ(error_of(parameters(expand(test::small_model({.lfa = false}, 8))), hf_names("yuan2")), "");
}

// Yuan 2.0's one matrix of queries and keys has as many heads of each.
TEST(HfTensors, SharedKvHeadsDoNotLieInYuansMatrix) {
  EXPECT_EQ(error_of(parameters(expand(test::small_model({.grouped = true}, 8))), hf_names("yuan2")),
            "layers.0.attention.k.weight [8, 12] cannot lie in Hugging Face's "
            "model.layers.0.self_attn.q_proj.weight, which is [24, 12] by the parameter before it");
}

TEST(HfTensors, AFamilyIsATable) {
  const std::vector<HfName> names = {{"layers.*.mlp.up.weight", {"h.*.fc.weight"}},
                                     {"final_norm.weight", {"norm.first", "norm.second"}}};
  std::vector<ParameterSpec> wanted;
  for (const ParameterSpec& parameter : parameters(expand(test::small_model({.layers = 12}, 8))))
    if (parameter.name == "layers.11.mlp.up.weight" || parameter.name == "final_norm.weight")
      wanted.push_back(parameter);
  const std::vector<HfTensor> tensors = hf_tensors(wanted, names);
  ASSERT_EQ(tensors.size(), 3U);
  EXPECT_EQ(tensors[0].name, "h.11.fc.weight");
  EXPECT_EQ(tensors[0].shape, (Shape{20, 12}));
  EXPECT_EQ(tensors[2].name, "norm.second");

  std::vector<float> gain(12), half(6);
  std::iota(gain.begin(), gain.end(), 0.0F);
  assemble(tensors[2], [&](const std::string&) { return TensorView(gain.data(), DType::f32, {12}); },
           {half.data(), DType::f32, {6}});
  EXPECT_EQ(half, (std::vector<float>{6, 7, 8, 9, 10, 11}));
}

TEST(HfFolder, ReadsShards) {
  TemporaryFolder folder;
  const SafetensorsReader file(kGolden / "yuan2-odd" / "model.safetensors");
  std::filesystem::copy_file(kGolden / "yuan2-odd" / "config.json", folder / "config.json");
  std::string map;
  std::vector<std::vector<float>> values;
  std::vector<NamedTensor> shards[2];
  for (const StoredTensor& tensor : file.tensors()) {
    const std::size_t shard = values.size() % 2;
    values.push_back(read_all(file, tensor.name));
    shards[shard].push_back({tensor.name, {values.back().data(), DType::f32, tensor.shape}});
    map += fmt::format("{}\"{}\": \"model-{}.safetensors\"", map.empty() ? "" : ", ", tensor.name, shard);
  }
  for (int i = 0; i < 2; ++i) write_safetensors(folder / fmt::format("model-{}.safetensors", i), shards[i]);
  write_text_atomically(folder / "model.safetensors.index.json", "{\"weight_map\": {" + map + "}}");
  const HfFolder sharded(folder.path()), single(kGolden / "yuan2-odd");
  for (const ParameterSpec& parameter : parameters(expand(single.model())))
    EXPECT_EQ(read_all(sharded, parameter.name, parameter.shape),
              read_all(single, parameter.name, parameter.shape));

  std::filesystem::remove(folder / "model-1.safetensors");
  EXPECT_NE(error_of(folder.path()).find("model-1.safetensors"), std::string::npos);
  write_text_atomically(folder / "model.safetensors.index.json", R"({"weight_map": {"a": "../elsewhere"}})");
  EXPECT_NE(error_of(folder.path()).find("../elsewhere"), std::string::npos);
}

// Writes the golden folder's tensors again, without those named and with one more.
void write_variant(const Path& folder, const std::set<std::string>& without, const std::string& extra,
                   const std::vector<float>& extra_values, const Shape& extra_shape) {
  const SafetensorsReader file(kGolden / "yuan2-odd" / "model.safetensors");
  std::map<std::string, std::vector<float>> values;
  std::vector<NamedTensor> tensors;
  for (const StoredTensor& tensor : file.tensors()) {
    if (without.contains(tensor.name)) continue;
    auto& kept = values[tensor.name] = read_all(file, tensor.name);
    tensors.push_back({tensor.name, {kept.data(), DType::f32, tensor.shape}});
  }
  auto copy = extra_values;
  if (!extra.empty()) tensors.push_back({extra, {copy.data(), DType::f32, extra_shape}});
  std::filesystem::remove(folder / "model.safetensors");
  write_safetensors(folder / "model.safetensors", tensors);
}

TEST(HfFolder, TakesACopyOfTheTiedHeadButNoOther) {
  TemporaryFolder folder;
  copy_golden(folder.path());
  auto embedding =
      read_all(SafetensorsReader(kGolden / "yuan2-odd" / "model.safetensors"), "model.embed_tokens.weight");
  write_variant(folder.path(), {}, "lm_head.weight", embedding, {77, 24});
  EXPECT_EQ(error_of(folder.path()), "");
  embedding[100] += 1.0F;
  write_variant(folder.path(), {}, "lm_head.weight", embedding, {77, 24});
  EXPECT_NE(error_of(folder.path()).find("tie_word_embeddings"), std::string::npos);
  change_config(folder.path(), "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
  const HfFolder untied(folder.path());
  EXPECT_EQ(read_all(untied, "head.weight", {77, 24}), embedding);
}

TEST(HfFolder, RefusesWhatItDoesNotKnow) {
  TemporaryFolder folder;
  copy_golden(folder.path());
  write_variant(folder.path(), {"model.layers.1.mlp.up_proj.weight"}, "", {}, {});
  EXPECT_NE(error_of(folder.path()).find("model.layers.1.mlp.up_proj.weight"), std::string::npos);
  write_variant(folder.path(), {"model.norm.weight"}, "model.norm.weight", std::vector<float>(23), {23});
  EXPECT_NE(error_of(folder.path()).find("[23]"), std::string::npos);
  write_variant(folder.path(), {}, "model.layers.0.self_attn.qk_bias", std::vector<float>(2), {2});
  EXPECT_NE(error_of(folder.path()).find("qk_bias"), std::string::npos);
  write_variant(folder.path(), {}, "model.layers.0.self_attn.rotary_emb.inv_freq", std::vector<float>(4),
                {4});
  EXPECT_EQ(error_of(folder.path()), "");

  change_config(folder.path(), "\"model_type\": \"yuan\"", "\"model_type\": \"llama\"");
  EXPECT_NE(error_of(folder.path()).find("\"llama\""), std::string::npos);
  change_config(folder.path(), "\"model_type\": \"llama\"", "\"moe_config\": {}, \"model_type\": \"yuan\"");
  EXPECT_NE(error_of(folder.path()).find("moe_config"), std::string::npos);
  change_config(folder.path(), "\"moe_config\": {}", "\"num_key_value_heads\": 1");
  EXPECT_NE(error_of(folder.path()).find("num_key_value_heads"), std::string::npos);
  change_config(folder.path(), "\"num_key_value_heads\": 1", "\"rms_norm_eps\": \"small\"");
  EXPECT_NE(error_of(folder.path()).find("rms_norm_eps"), std::string::npos);
}

}  // namespace
}  // namespace headwater
