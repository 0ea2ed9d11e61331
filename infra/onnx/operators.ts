import type { onnx } from 'onnx-proto';

/** Words of a template, one operator each. */
const operators = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/**
 * The operators that a served graph may use, by domain: those that answer the same to the same input and end by themselves. Left out are
 * the random ones (RandomNormal, RandomUniform, their Like forms, Multinomial, Bernoulli), since a decision must be had again years later;
 * Loop, which can go on for ever without any memory; gradients and optimisers; and domains that only a custom library of operators has.
 * Sources: github.com/onnx/onnx docs/Operators.md and Operators-ml.md (opset 23 and 5), onnxruntime docs/ContribOperators.md.
 */
const ALLOWED: Readonly<Record<string, ReadonlySet<string>>> = {
  '': operators(`
    Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization BitCast BitShift
    BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike Ceil Celu CenterCropPad Clip Col2Im Compress Concat
    ConcatFromSequence Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumProd CumSum DFT DeformConv DepthToSpace
    DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather
    GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample
    GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity If ImageDecoder InstanceNormalization IsInf
    IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization LpPool MatMul MatMulInteger Max
    MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Neg NegativeLogLikelihoodLoss
    NonMaxSuppression NonZero Not OneHot Optional OptionalGetElement OptionalHasElement Or PRelu Pad Pow QLinearConv QLinearMatMul
    QuantizeLinear RMSNormalization RNN Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum ReduceSumSquare RegexFullMatch Relu Reshape Resize ReverseSequence RoiAlign RotaryEmbedding
    Round STFT Scan Scatter ScatterElements ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert
    SequenceLength SequenceMap Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign
    SpaceToDepth Split SplitToSequence Sqrt Squeeze StringConcat StringNormalizer StringSplit Sub Sum Swish Tan Tanh
    TensorScatter TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor
  `),
  'ai.onnx.ml': operators(`
    ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer Imputer LabelEncoder LinearClassifier
    LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsemble TreeEnsembleClassifier
    TreeEnsembleRegressor ZipMap
  `),
  'com.microsoft': operators(`
    BiasGelu BiasSoftmax BiasSplitGelu CDist ConvTransposeWithDynamicPads DequantizeLinear DynamicQuantizeLSTM DynamicQuantizeMatMul
    EmbedLayerNormalization ExpandDims FastGelu FusedConv FusedGemm FusedMatMul FusedMatMulActivation GatherND Gelu
    GroupQueryAttention Inverse LayerNormalization MatMulInteger16 MatMulIntegerToFloat MatMulNBits MultiHeadAttention Attention
    MurmurHash3 NGramRepeatBlock NhwcMaxPool QAttention QEmbedLayerNormalization QGemm QLinearAdd QLinearAveragePool QLinearConcat
    QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QuantizeLinear
    QuickGelu Rfft Irfft RotaryEmbedding SimplifiedLayerNormalization SkipLayerNormalization SkipSimplifiedLayerNormalization
    Tokenizer TransposeMatMul Trilu Unique
  `),
};

/** Attributes and inputs by which an allowed operator behaves as in training: at random, or by its neighbours in the batch. */
const TRAINING = 'training_mode';
const DROPOUT_TRAINING_INPUT = 2;

/** A model's own functions may be used too: what they consist of is looked at as the graph is. */
export class OperatorCheck {
  private readonly own = new Map<string, Set<string>>();

  constructor(functions: readonly onnx.IFunctionProto[]) {
    for (const { domain, name } of functions) {
      const home = homeOf(domain);
      // The runtime may take its own operator where a function claims the name of one.
      if (Object.hasOwn(ALLOWED, home) || home.startsWith('ai.onnx')) continue;
      this.own.set(home, (this.own.get(home) ?? new Set()).add(name ?? ''));
    }
  }

  /** Why the node's operator is refused; null where it is allowed. */
  refusal(node: onnx.INodeProto): string | null {
    const { domain, opType } = node;
    const home = homeOf(domain);
    const operator = opType ?? '';
    // Shown to people; names in a file may be as long as the file.
    const name = `${home || 'ai.onnx'}.${operator}`.slice(0, 100);
    const isKnown = Object.hasOwn(ALLOWED, home) ? ALLOWED[home]!.has(operator) : this.own.get(home)?.has(operator);
    if (isKnown !== true)
      return `it uses the operator ${name}, which is not among those that are served (docs/gateway.md, "Routes and releases")`;
    return isTraining(node)
      ? `it uses the operator ${name}, as it is used in training: export the model for inference`
      : null;
  }
}

function isTraining({ opType, input, attribute }: onnx.INodeProto): boolean {
  const hasMode = attribute?.some(({ name, i }) => name === TRAINING && Number(i ?? 0) !== 0) === true;
  return hasMode || (opType === 'Dropout' && (input?.[DROPOUT_TRAINING_INPUT] ?? '') !== '');
}

function homeOf(domain: string | null | undefined): string {
  return !domain || domain === 'ai.onnx' ? '' : domain;
}
