#include "headwater/checkpoint/safetensors.h"

#include "headwater/base/error.h"
#include "tests/support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace headwater {
namespace {

std::string file_text(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

void put(const Path& path, const std::string& text) {
  OutputFile out = OutputFile::create(path);
  out.write(std::string_view(text));
  out.close();
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

std::string error_of(const Path& path) {
  try {
    SafetensorsReader reader(path);
    return "";
  } catch (const UserError& error) {
    return error.what();
  }
}

TEST(Safetensors, WhatIsWrittenIsRead) {
  TemporaryFolder folder;
  std::vector<float> a(6);
  std::iota(a.begin(), a.end(), 0.5F);
  std::vector<std::int32_t> b{1, -2, 3};
  std::vector<bf16> c{bf16(1.5F), bf16(-2.0F)};
  // Two of three columns of a [2, 3] matrix: a view with a row stride.
  const TensorView matrix(a.data(), DType::f32, {2, 3});
  write_safetensors(folder / "x.safetensors", {{"z.first", matrix},
                                               {"b", {b.data(), DType::i32, {3}}},
                                               {"columns", matrix.slice_columns(1, 2)},
                                               {"c", {c.data(), DType::bf16, {2, 1}}}});
  const SafetensorsReader reader(folder / "x.safetensors");
  ASSERT_EQ(reader.tensors().size(), 4U);
  EXPECT_EQ(reader.tensors()[0].name, "z.first");  // the order of the data is the order of writing
  EXPECT_EQ(reader.at("z.first").shape, (Shape{2, 3}));
  EXPECT_EQ(reader.find("missing"), nullptr);
  EXPECT_THROW(reader.at("missing"), UserError);

  std::vector<float> read(6);
  reader.read(reader.at("z.first"), 0, {read.data(), DType::f32, {6}});
  EXPECT_EQ(read, a);
  std::vector<float> columns(4);
  reader.read(reader.at("columns"), 0, {columns.data(), DType::f32, {2, 2}});
  EXPECT_EQ(columns, (std::vector<float>{a[1], a[2], a[4], a[5]}));
  std::vector<float> part_of_it(2);
  reader.read(reader.at("z.first"), part({2, 3}, 1, 2, 1), {part_of_it.data(), DType::f32, {2, 1}});
  EXPECT_EQ(part_of_it, (std::vector<float>{a[2], a[5]}));
  std::vector<std::int32_t> whole_numbers(2);
  reader.read(reader.at("b"), 1, {whole_numbers.data(), DType::i32, {2}});
  EXPECT_EQ(whole_numbers, (std::vector<std::int32_t>{-2, 3}));
  std::vector<double> wide(2);
  reader.read(reader.at("c"), 0, {wide.data(), DType::f64, {2}});
  EXPECT_EQ(wide, (std::vector<double>{1.5, -2.0}));
}

TEST(Safetensors, HashAndSizeAreTheFile) {
  TemporaryFolder folder;
  std::vector<float> values(1000, 0.25F);
  OutputFile unfinished = OutputFile::create(folder / "unfinished");
  SafetensorsWriter writer(unfinished, {{"v", StoredType::f32, {10, 100}}}, {{"made by", "a test"}});
  EXPECT_THROW(writer.finish(), InternalError);
  EXPECT_THROW(writer.write({values.data(), DType::f32, {999}}), InternalError);
  OutputFile out = OutputFile::create(folder / "x");
  SafetensorsWriter good(out, {{"v", StoredType::f32, {10, 100}}}, {{"made by", "a test"}});
  good.write({values.data(), DType::f32, {10, 100}});
  good.finish();
  out.close();
  const SafetensorsReader reader(folder / "x");
  EXPECT_EQ(good.size(), reader.size());
  EXPECT_EQ(good.hash(), file_hash(folder / "x"));
  EXPECT_EQ(reader.metadata().at("made by"), "a test");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(reader.bytes(reader.at("v")).data()) % 8, 0U);
}

TEST(Safetensors, EveryTypeThatHoldsNumbersIsConverted) {
  TemporaryFolder folder;
  struct Case {
    const char* type;
    std::string data;  // the numbers 1, 2 and 100
    bool whole;
  };
  const std::vector<Case> cases{
      {"F64", bytes_of(std::vector<double>{1, 2, 100}), false},
      {"F32", bytes_of(std::vector<float>{1, 2, 100}), false},
      {"F16", bytes_of(std::vector<std::uint16_t>{0x3C00, 0x4000, 0x5640}), false},
      {"BF16", bytes_of(std::vector<bf16>{bf16(1), bf16(2), bf16(100)}), false},
      {"I64", bytes_of(std::vector<std::int64_t>{1, 2, 100}), true},
      {"I32", bytes_of(std::vector<std::int32_t>{1, 2, 100}), true},
      {"I16", bytes_of(std::vector<std::int16_t>{1, 2, 100}), true},
      {"I8", bytes_of(std::vector<std::int8_t>{1, 2, 100}), true},
      {"U64", bytes_of(std::vector<std::uint64_t>{1, 2, 100}), true},
      {"U32", bytes_of(std::vector<std::uint32_t>{1, 2, 100}), true},
      {"U16", bytes_of(std::vector<std::uint16_t>{1, 2, 100}), true},
      {"U8", bytes_of(std::vector<std::uint8_t>{1, 2, 100}), true},
  };
  for (const Case& c : cases) {
    // A tensor of one byte comes first, so that the others are not aligned.
    put(folder / "x", file_text(fmt::format(R"({{"p":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}},)"
                                            R"("v":{{"dtype":"{}","shape":[3],"data_offsets":[1,{}]}}}})",
                                            c.type, 1 + c.data.size()),
                                "p" + c.data));
    const SafetensorsReader reader(folder / "x");
    std::vector<float> f32(3);
    std::vector<double> f64(3);
    std::vector<bf16> b16(3);
    std::vector<std::int32_t> i32(3);
    reader.read(reader.at("v"), 0, {f32.data(), DType::f32, {3}});
    reader.read(reader.at("v"), 0, {f64.data(), DType::f64, {3}});
    reader.read(reader.at("v"), 0, {b16.data(), DType::bf16, {3}});
    EXPECT_EQ(f32, (std::vector<float>{1, 2, 100})) << c.type;
    EXPECT_EQ(f64, (std::vector<double>{1, 2, 100})) << c.type;
    EXPECT_EQ(static_cast<float>(b16[2]), 100.0F) << c.type;
    if (c.whole) {
      reader.read(reader.at("v"), 0, {i32.data(), DType::i32, {3}});
      EXPECT_EQ(i32, (std::vector<std::int32_t>{1, 2, 100})) << c.type;
    } else {
      EXPECT_THROW(reader.read(reader.at("v"), 0, {i32.data(), DType::i32, {3}}), UserError) << c.type;
    }
  }
}

TEST(Safetensors, HalvesAtTheirLimits) {
  TemporaryFolder folder;
  const std::vector<std::uint16_t> bits{0x0001, 0x03FF, 0x0400, 0x7BFF, 0x7C00,
                                        0xFC00, 0x8000, 0xC000, 0x7E00};
  put(folder / "x", file_text(R"({"v":{"dtype":"F16","shape":[9],"data_offsets":[0,18]}})", bytes_of(bits)));
  const SafetensorsReader reader(folder / "x");
  std::vector<double> v(9);
  reader.read(reader.at("v"), 0, {v.data(), DType::f64, {9}});
  EXPECT_EQ(v[0], std::ldexp(1.0, -24));
  EXPECT_EQ(v[1], std::ldexp(1023.0, -24));
  EXPECT_EQ(v[2], std::ldexp(1.0, -14));
  EXPECT_EQ(v[3], 65504.0);
  EXPECT_EQ(v[4], HUGE_VAL);
  EXPECT_EQ(v[5], -HUGE_VAL);
  EXPECT_TRUE(v[6] == 0.0 && std::signbit(v[6]));
  EXPECT_EQ(v[7], -2.0);
  EXPECT_TRUE(std::isnan(v[8]));
}

TEST(Safetensors, TypesThatAreNoNumbersMayLieThereUnread) {
  TemporaryFolder folder;
  put(folder / "x", file_text(R"({"m":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]},)"
                              R"("q":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[2,4]}})",
                              "\1\1\1\1"));
  const SafetensorsReader reader(folder / "x");
  std::vector<float> v(2);
  EXPECT_THROW(reader.read(reader.at("m"), 0, {v.data(), DType::f32, {2}}), UserError);
  EXPECT_THROW(reader.read(reader.at("q"), 0, {v.data(), DType::f32, {2}}), UserError);
}

TEST(Safetensors, ATokenThatDoesNotFitIsNamed) {
  TemporaryFolder folder;
  put(folder / "x", file_text(R"({"tokens":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}})",
                              bytes_of(std::vector<std::int64_t>{5, std::int64_t{1} << 31})));
  const SafetensorsReader reader(folder / "x");
  std::vector<std::int32_t> v(2);
  try {
    reader.read(reader.at("tokens"), 0, {v.data(), DType::i32, {2}});
    FAIL();
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("2147483648"), std::string::npos) << error.what();
  }
}

TEST(Safetensors, EveryCutIsFound) {
  TemporaryFolder folder;
  std::vector<float> a(5, 1.0F);
  write_safetensors(folder / "whole",
                    {{"a", {a.data(), DType::f32, {5}}}, {"b", {a.data(), DType::f32, {2, 2}}}});
  const std::string text = read_text(folder / "whole");
  for (std::size_t length = 0; length < text.size(); ++length) {
    put(folder / "cut", text.substr(0, length));
    const std::string message = error_of(folder / "cut");
    EXPECT_NE(message.find((folder / "cut").string()), std::string::npos) << length << ": " << message;
    EXPECT_NE(message.find(fmt::format("{} bytes", length)), std::string::npos) << length << ": " << message;
  }
  put(folder / "cut", text + "x");
  EXPECT_NE(error_of(folder / "cut").find("more than its tensors"), std::string::npos);
  EXPECT_EQ(error_of(folder / "whole"), "");
}

TEST(Safetensors, HostileHeadersAreRefused) {
  TemporaryFolder folder;
  const auto tensor = [](const char* dtype, const char* shape, const char* offsets) {
    return fmt::format(R"({{"a":{{"dtype":{},"shape":{},"data_offsets":{}}}}})", dtype, shape, offsets);
  };
  const std::vector<std::pair<std::string, std::string>> cases{
      // {header, what the message must contain}
      {"", "header"},
      {"null", "object"},
      {"[1]", "object"},
      {R"({"a":)", "header"},
      {R"({"a":1})", "object"},
      {R"({"a":{}})", "dtype"},
      {R"({"__metadata__":{"a":1}})", "metadata"},
      {R"({"__metadata__":3})", "metadata"},
      {tensor("7", "[2]", "[0,8]"), "dtype"},
      {tensor(R"("F33")", "[2]", "[0,8]"), "F33"},
      {tensor(R"("F32")", "2", "[0,8]"), "shape"},
      {tensor(R"("F32")", "[-2]", "[0,8]"), "shape"},
      {tensor(R"("F32")", "[2.0]", "[0,8]"), "shape"},
      {tensor(R"("F32")", "[1,1,1,1,2]", "[0,8]"), "4 sizes"},
      {tensor(R"("F32")", "[4294967296,4294967296,4294967296]", "[0,8]"), "more than"},
      {tensor(R"("F32")", "[4611686018427387905]", "[0,4]"), "more than"},
      {tensor(R"("F32")", "[18446744073709551615]", "[0,8]"), "shape"},
      {tensor(R"("F32")", "[2]", "8"), "begin, end"},
      {tensor(R"("F32")", "[2]", "[8,0]"), "before it begins"},
      {tensor(R"("F32")", "[2]", "[-8,0]"), "data_offsets"},
      {tensor(R"("F32")", "[3]", "[0,8]"), "takes 12 bytes"},
      {tensor(R"("F32")", "[1]", "[4,8]"), "begins at byte 4"},
      {tensor(R"("F32")", "[4]", "[0,16]"), "cut"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
       R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "begins at byte 4"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
       R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "twice"},
  };
  for (const auto& [header, what] : cases) {
    put(folder / "x", file_text(header, std::string(8, '\0')));
    const std::string message = error_of(folder / "x");
    EXPECT_NE(message.find(what), std::string::npos) << header << ": " << message;
    EXPECT_NE(message.find((folder / "x").string()), std::string::npos) << header << ": " << message;
  }
  put(folder / "x", std::string(8, '\xFF') + "{}");
  EXPECT_NE(error_of(folder / "x").find("not a safetensors file"), std::string::npos);
  EXPECT_THROW(SafetensorsReader(folder / "missing"), UserError);
}

TEST(Safetensors, EmptyTensorsTakeNoBytes) {
  TemporaryFolder folder;
  float one = 1.0F;
  write_safetensors(folder / "x",
                    {{"none", {nullptr, DType::f32, {0, 3}}}, {"scalar", {&one, DType::f32, {}}}});
  const SafetensorsReader reader(folder / "x");
  EXPECT_EQ(reader.at("none").shape, (Shape{0, 3}));
  float read = 0.0F;
  reader.read(reader.at("scalar"), 0, {&read, DType::f32, {}});
  EXPECT_EQ(read, 1.0F);
}

}  // namespace
}  // namespace headwater
