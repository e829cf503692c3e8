#include "headwater/checkpoint/checkpoint.h"

#include "headwater/base/error.h"
#include "headwater/checkpoint/model_difference.h"
#include "headwater/comm/world.h"
#include "tests/checkpoint/saved_state.h"
#include "tests/support/temporary_folder.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() : folder_(place_ / "run") {
    make_folders(folder_.path());
    const auto world = make_self_world();
    const auto ranks = world->group("save", {0});
    Saver saver(folder_, *ranks, 0);
    const RankState state = rank_state(Cut::whole_on_first, 0, 1, 7);
    saver.stage(state.tensors);
    saver.commit(saved_header(7));
  }

  Path checkpoint() const { return folder_.checkpoint(7); }
  // Flips one bit of the middle byte.
  void alter(const std::string& name) const {
    std::string text = read_text(checkpoint() / name);
    text[text.size() / 2] = static_cast<char>(text[text.size() / 2] ^ 1);
    put(name, text);
  }
  void put(const std::string& name, const std::string& text) const {
    OutputFile out = OutputFile::create(checkpoint() / name);
    out.write(std::string_view(text));
    out.close();
  }
  static std::string error_of(const Path& path) {
    try {
      open_weights(path);
      return "";
    } catch (const UserError& error) {
      return error.what();
    }
  }

  TemporaryFolder place_;
  SaveFolder folder_;
};

constexpr const char* kWeights = "weights-00000-of-00001.safetensors";
constexpr const char* kOptimizer = "optimizer-00000-of-00001.safetensors";

TEST_F(CheckpointTest, IsRecognisedByWhatAFolderHolds) {
  EXPECT_EQ(open_weights(checkpoint())->description(), "checkpoint " + checkpoint().string());
  EXPECT_EQ(open_weights(folder_.path())->description(), "checkpoint " + checkpoint().string());
  EXPECT_EQ(open_weights(folder_.path())->model().hidden_size, 24);
  EXPECT_EQ(find_checkpoint(checkpoint()), checkpoint());
  EXPECT_EQ(find_checkpoint(folder_.path()), checkpoint());
  const Path hf = Path(HEADWATER_SOURCE_DIR) / "tests/golden/yuan2-odd";
  EXPECT_EQ(open_weights(hf)->description(), "Hugging Face folder " + hf.string());
  for (const char* sought : {"manifest.json", "config.json", "latest"})
    EXPECT_NE(error_of(place_.path()).find(sought), std::string::npos) << sought;
  EXPECT_NE(error_of(place_ / "missing").find("missing"), std::string::npos);
  EXPECT_THROW(find_checkpoint(hf), UserError);
  EXPECT_THROW(find_checkpoint(place_ / "missing"), UserError);
}

TEST_F(CheckpointTest, SaysWhatItLacks) {
  const Checkpoint opened(checkpoint());
  EXPECT_TRUE(opened.has("embedding.weight", StateKind::exp_avg_sq));
  EXPECT_FALSE(opened.has("head.weight"));
  float value = 0.0F;
  const TensorView one(&value, DType::f32, {1});
  EXPECT_THROW(opened.read("head.weight", whole({1}), one), UserError);
  EXPECT_THROW(opened.read("embedding.weight", {{{6, 0}, {1, 1}}, 0, 1}, one),
               UserError);  // another model's shape
}

TEST_F(CheckpointTest, VerifyNamesWhatIsAltered) {
  EXPECT_EQ(verify_checkpoint(checkpoint()).files, 3);
  EXPECT_TRUE(verify_checkpoint(checkpoint()).bad.empty());
  alter(kOptimizer);
  EXPECT_EQ(verify_checkpoint(checkpoint()).bad, std::vector<std::string>{kOptimizer});
  EXPECT_EQ(error_of(checkpoint()), "");  // its size is right: only the checksum tells
  std::filesystem::remove(checkpoint() / kWeights);
  EXPECT_EQ(verify_checkpoint(checkpoint()).bad, (std::vector<std::string>{kOptimizer, kWeights}));
  alter("manifest.json");
  EXPECT_EQ(verify_checkpoint(checkpoint()).bad, std::vector<std::string>{"manifest.json"});
  EXPECT_THROW(verify_checkpoint(place_.path()), UserError);
}

TEST_F(CheckpointTest, EveryAlteredByteOfTheManifestIsFound) {
  const std::string text = read_text(checkpoint() / "manifest.json");
  for (std::size_t i = 0; i < text.size(); i += 61) {
    std::string altered = text;
    altered[i] = static_cast<char>(altered[i] ^ 4);
    put("manifest.json", altered);
    ASSERT_NE(error_of(checkpoint()).find("cut or altered"), std::string::npos) << i;
  }
}

TEST_F(CheckpointTest, EveryCutIsFoundAtOnce) {
  for (const char* name : {kWeights, kOptimizer, "manifest.json", "manifest.xxh3"}) {
    const std::string text = read_text(checkpoint() / name);
    for (std::size_t length = 0; length < text.size(); length += 67) {
      put(name, text.substr(0, length));
      ASSERT_NE(error_of(checkpoint()).find("cut"), std::string::npos) << name << " " << length;
    }
    std::filesystem::remove(checkpoint() / name);
    EXPECT_NE(error_of(checkpoint()), "") << name;
    put(name, text);
  }
  EXPECT_EQ(error_of(checkpoint()), "");
}

TEST_F(CheckpointTest, ManifestsThatContradictThemselvesAreRefused) {
  const std::string good = read_text(checkpoint() / "manifest.json");
  const auto error_with = [&](const std::string& from, const std::string& to) -> std::string {
    const std::size_t at = good.find(from);
    if (at == std::string::npos) return "no \"" + from + "\" in the manifest";
    std::string text = good;
    try {
      parse_manifest(text.replace(at, from.size(), to), "M");
      return "";
    } catch (const UserError& error) {
      return error.what();
    }
  };
  EXPECT_EQ(parse_manifest(good, "M"), Checkpoint(checkpoint()).manifest());
  EXPECT_EQ(manifest_text(parse_manifest(good, "M")), good);
  EXPECT_EQ(error_with("headwater-checkpoint", "other"),
            R"(format in M is "other"; it must be "headwater-checkpoint")");
  EXPECT_NE(error_with("\"version\": 1", "\"version\": 2").find("version"), std::string::npos);
  EXPECT_NE(error_with("\"exp_avg_sq\"", "\"momentum\"").find("momentum"), std::string::npos);
  EXPECT_NE(error_with("\"file\": \"" + std::string(kOptimizer), "\"file\": \"other").find("not listed"),
            std::string::npos);
  EXPECT_NE(
      error_with("\"" + std::string(kOptimizer), "\"../" + std::string(kOptimizer)).find("plain file name"),
      std::string::npos);
  EXPECT_NE(error_with("\"step\": 7", "\"step\": -7").find("step"), std::string::npos);
  EXPECT_NE(error_with("\"step\": 7", "\"stop\": 7").find("step"), std::string::npos);
}

TEST_F(CheckpointTest, NamesTheLibraryOnlyWhereOneMadeTheProducts) {
  Manifest manifest = Checkpoint(checkpoint()).manifest();
  EXPECT_EQ(manifest_text(manifest).find("cublaslt"), std::string::npos);  // so was every one before the key
  EXPECT_EQ(parse_manifest(manifest_text(manifest), "M").header.cublaslt, 0);
  manifest.header.cublaslt = 130100;
  EXPECT_EQ(parse_manifest(manifest_text(manifest), "M"), manifest);
  const std::string text = manifest_text(manifest), key = "\"cublaslt\": 130100";
  std::string wrong = text;
  wrong.replace(text.find(key), key.size(), "\"cublaslt\": \"13.1\"");
  EXPECT_THROW(parse_manifest(wrong, "M"), UserError);
}

TEST_F(CheckpointTest, StatesMustBeCoveredOnce) {
  Manifest manifest = Checkpoint(checkpoint()).manifest();
  StoredState& state = manifest.states.at({"embedding.weight", StateKind::weight});
  const auto problem = [&] {
    try {
      parse_manifest(manifest_text(manifest), "M");
      return std::string();
    } catch (const UserError& error) {
      return std::string(error.what());
    }
  };
  const std::vector<StoredSlice> good = state.slices;
  state.slices[0].slice.count = 29;
  EXPECT_NE(problem().find("29 of its 30"), std::string::npos) << problem();
  state.slices.push_back(good[0]);
  state.slices[1].slice.first = 28;
  state.slices[1].slice.count = 2;
  EXPECT_NE(problem().find("stored twice"), std::string::npos) << problem();
  state.slices[1].slice.first = 29;
  EXPECT_NE(problem(), "");  // beyond the box
  state.slices[1].slice.count = 1;
  EXPECT_EQ(problem(), "");
  state.shape = Shape{6, 4};
  EXPECT_NE(problem(), "");
}

TEST(ModelDifference, NamesTheFirstKeyAndBothValues) {
  const ModelConfig there = saved_header(1).model;
  ModelConfig here = there;
  here.preset = "some name";
  EXPECT_EQ(model_difference(there, here, Compare::all), std::nullopt);
  here.attention_dropout = 0.1;
  EXPECT_EQ(model_difference(there, here, Compare::weights), std::nullopt);
  EXPECT_EQ(model_difference(there, here, Compare::all), "model.attention_dropout is 0.0 there and 0.1 here");
  here.hidden_size = 32;
  EXPECT_EQ(model_difference(there, here, Compare::weights), "model.hidden_size is 24 there and 32 here");
}

}  // namespace
}  // namespace headwater
