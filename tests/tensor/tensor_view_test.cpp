#include "headwater/tensor/tensor_view.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace headwater {
namespace {

TEST(Shape, CountsAndText) {
  EXPECT_EQ(Shape().rank(), 0);
  EXPECT_EQ(Shape().elements(), 1);
  EXPECT_EQ(to_string(Shape()), "[]");
  const Shape shape{4, 256, 768};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape[1], 256);
  EXPECT_EQ(shape.elements(), 4 * 256 * 768);
  EXPECT_EQ(shape.row_elements(), 256 * 768);
  EXPECT_EQ(to_string(shape), "[4, 256, 768]");
  EXPECT_EQ(shape.with_first(7), (Shape{7, 256, 768}));
  EXPECT_EQ((Shape{3, 0, 5}).elements(), 0);
  EXPECT_NE((Shape{2, 3}), (Shape{2, 3, 1}));
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
}

TEST(Shape, WhatIsNotAShapeIsABug) {
  EXPECT_THROW((Shape{1, 2, 3, 4, 5}), InternalError);
  EXPECT_THROW((Shape{2, -1}), InternalError);
  EXPECT_THROW(Shape().with_first(2), InternalError);
}

class View : public testing::Test {
 protected:
  View() : numbers_(6 * 10) {
    std::iota(numbers_.begin(), numbers_.end(), 0);
    view_ = TensorView(numbers_.data(), DType::i32, {6, 10});
  }
  std::vector<std::int32_t> numbers_;
  TensorView view_;
};

TEST_F(View, WholeIsDense) {
  EXPECT_TRUE(view_);
  EXPECT_FALSE(TensorView());
  EXPECT_TRUE(view_.dense());
  EXPECT_EQ(view_.rows(), 6);
  EXPECT_EQ(view_.columns(), 10);
  EXPECT_EQ(view_.elements(), 60);
  EXPECT_EQ(view_.bytes(), 240U);
  EXPECT_EQ(TensorView(numbers_.data(), DType::i32, {}).rows(), 1);
}

TEST_F(View, ReadAsAnotherTypeIsABug) {
  EXPECT_EQ(view_.as<std::int32_t>(), numbers_.data());
  EXPECT_THROW(view_.as<float>(), InternalError);
}

TEST_F(View, Rows) {
  const TensorView part = view_.rows(2, 3);
  EXPECT_EQ(part.as<std::int32_t>()[0], 20);
  EXPECT_EQ(part.shape, (Shape{3, 10}));
  EXPECT_TRUE(part.dense());
  EXPECT_EQ(view_.rows(6, 0).elements(), 0);
  EXPECT_THROW(view_.rows(4, 3), InternalError);
  EXPECT_THROW(view_.rows(-1, 2), InternalError);
  EXPECT_THROW(view_.rows(0, -1), InternalError);
}

TEST_F(View, ColumnsKeepTheRowStride) {
  const TensorView part = view_.slice_columns(4, 3);
  EXPECT_EQ(part.shape, (Shape{6, 3}));
  EXPECT_EQ(part.row_stride, 10);
  EXPECT_FALSE(part.dense());
  EXPECT_EQ(part.as<std::int32_t>()[0], 4);
  const TensorView inner = part.rows(5, 1).slice_columns(1, 2);
  EXPECT_EQ(inner.as<std::int32_t>()[0], 55);
  EXPECT_TRUE(inner.dense()) << "one row is";
  EXPECT_THROW(view_.slice_columns(8, 3), InternalError);
  EXPECT_THROW(view_.reshaped({6, 5, 2}).slice_columns(0, 1), InternalError);
}

TEST_F(View, ReshapedWholeTakesAnyShape) {
  const TensorView other = view_.reshaped({3, 4, 5});
  EXPECT_EQ(other.row_stride, 20);
  EXPECT_EQ(other.rows(1, 1).as<std::int32_t>()[0], 20);
  EXPECT_THROW(view_.reshaped({7, 9}), InternalError);
}

// Heads are split off a slice of the fused q, k and v in this way.
TEST_F(View, ReshapedPartKeepsItsRows) {
  const TensorView heads = view_.slice_columns(2, 6).reshaped({6, 3, 2});
  EXPECT_EQ(heads.row_stride, 10);
  EXPECT_EQ(heads.rows(1, 1).as<std::int32_t>()[0], 12);
  EXPECT_THROW(view_.slice_columns(2, 6).reshaped({3, 12}), InternalError);
  EXPECT_THROW(view_.slice_columns(2, 6).reshaped({36}), InternalError);
}

}  // namespace
}  // namespace headwater
