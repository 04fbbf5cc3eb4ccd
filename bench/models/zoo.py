"""The architectures that export.py exports: each as its authors' code builds it, with random weights, and reduced.

`ARCHITECTURES[name](small)` returns (module, inputs): a module whose forward takes the inputs by name, in order, and
returns one float tensor; `SOURCES[name]` says whose code it is. `small` keeps every kind of layer of the family and reduces
widths and depths. Full models have their real widths and depths; only images are small where the family allows it.
"""
from collections import OrderedDict

import torch
from torch import nn


def import_torchvision():
    """torchvision's compiled operators are built for one PyTorch only; the models here use none of them."""
    real = torch.library.register_fake

    def register_fake(op, *args, **kwargs):
        if isinstance(op, str) and op.startswith("torchvision::"):
            return lambda function: function
        return real(op, *args, **kwargs)

    torch.library.register_fake = register_fake
    try:
        import torchvision
    finally:
        torch.library.register_fake = real
    return torchvision


torchvision = import_torchvision()
import timm  # noqa: E402  (needs torchvision)
import transformers as hf  # noqa: E402

tv = torchvision.models
BATCH = 2


def images(size, channels=3):
    """Standard normal, in steps of 1/8 so that files of them are small."""
    return OrderedDict(images=torch.randn(BATCH, channels, size, size).mul(8).round().div(8))


def tokens(vocabulary, length, mask=True):
    """
    Token ids, and a mask that ends the second text early. Ids begin at 1: PyTorch gives the row of a padding_idx no gradient,
    which ONNX's Gather can't say.
    """
    inputs = OrderedDict(input_ids=torch.randint(1, vocabulary, (BATCH, length)))
    if mask:
        inputs["attention_mask"] = torch.ones(BATCH, length, dtype=torch.int64)
        inputs["attention_mask"][1, length - length // 4 :] = 0
    return inputs


class Picked(nn.Module):
    """A transformers model that returns one tensor of its answer."""

    def __init__(self, model, output):
        super().__init__()
        self.model, self.output = model, output

    def forward(self, input_ids, attention_mask=None):
        return getattr(self.model(input_ids=input_ids, attention_mask=attention_mask), self.output)


class UNet(nn.Module):
    """Ronneberger et al. 2015, with BatchNorm; transposed convolutions or bilinear upsampling on the way up."""

    def __init__(self, widths, classes, bilinear):
        super().__init__()

        def block(inside, outside):
            layers = []
            for i, o in ((inside, outside), (outside, outside)):
                layers += [nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]
            return nn.Sequential(*layers)

        pairs = list(zip(widths, widths[1:]))
        self.first = block(3, widths[0])
        self.down = nn.ModuleList(block(i, o) for i, o in pairs)
        self.grow = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), nn.Conv2d(o, i, 1))
            if bilinear
            else nn.ConvTranspose2d(o, i, 2, stride=2)
            for i, o in reversed(pairs)
        )
        self.up = nn.ModuleList(block(2 * i, i) for i, _ in reversed(pairs))
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, images):
        x, kept = self.first(images), []
        for down in self.down:
            kept.append(x)
            x = down(nn.functional.max_pool2d(x, 2))
        for grow, up in zip(self.grow, self.up):
            x = up(torch.cat([kept.pop(), grow(x)], 1))
        return self.head(x)


class Recurrent(nn.Module):
    """Token classifier: embedding, a recurrent network, the mean of its states, a linear layer."""

    def __init__(self, network, vocabulary, width, classes):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.network = network
        self.head = nn.Linear(width * (2 if network.bidirectional else 1), classes)

    def forward(self, input_ids):
        y, _ = self.network(self.embedding(input_ids))
        return self.head(y.mean(1))


ARCHITECTURES, SOURCES = {}, {}
# The first opset that can say what they hold, where the exporters' usual one cannot.
OLDEST_OPSET = {"spectrogram": 17, "spatial-transformer": 20}
# Without running statistics of the data their outputs are in the thousands, and PyTorch's float32 gradients off by 1e-2.
CALIBRATED = {"condconv", "regnet-z", "dla"}


def architecture(source):
    def register(function):
        name = function.__name__.replace("_", "-")
        ARCHITECTURES[name], SOURCES[name] = function, source
        return function

    return register


@architecture("torchvision `resnet18`")
def resnet18(small):
    if not small:
        return tv.resnet18(), images(64)
    return timm.models.resnet.ResNet(
        timm.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=5, channels=(4, 6, 8, 8), stem_width=4
    ), images(48)


def _mobilenet_v3_settings(small_rows):
    row = tv.mobilenetv3.InvertedResidualConfig
    return [row(*r, dilation=1, width_mult=1.0) for r in small_rows]


@architecture("torchvision `mobilenet_v2`")
def mobilenet_v2(small):
    if not small:
        return tv.mobilenet_v2(), images(64)
    settings = [[1, 8, 1, 1], [2, 8, 2, 2], [2, 16, 1, 2]]
    model = tv.MobileNetV2(num_classes=5, width_mult=1.0, inverted_residual_setting=settings, round_nearest=8)
    model.features[-1][0] = nn.Conv2d(16, 24, 1, bias=False)
    model.features[-1][1] = nn.BatchNorm2d(24)
    model.classifier[1] = nn.Linear(24, 5)
    model.features[0][0] = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
    model.features[0][1] = nn.BatchNorm2d(8)
    model.features[1] = tv.mobilenetv2.InvertedResidual(8, 8, 1, 1)
    return model, images(32)


@architecture("torchvision `mobilenet_v3_small`")
def mobilenet_v3_small(small):
    if not small:
        return tv.mobilenet_v3_small(), images(64)
    rows = _mobilenet_v3_settings([(8, 3, 8, 8, True, "RE", 2), (8, 3, 16, 8, False, "RE", 1), (8, 5, 16, 8, True, "HS", 2)])
    return tv.MobileNetV3(rows, last_channel=16, num_classes=5), images(32)


@architecture("torchvision `mobilenet_v3_large`")
def mobilenet_v3_large(small):
    if not small:
        return tv.mobilenet_v3_large(), images(64)
    rows = _mobilenet_v3_settings([(8, 3, 8, 8, False, "RE", 1), (8, 3, 16, 8, False, "RE", 2), (8, 5, 16, 16, True, "HS", 2)])
    return tv.MobileNetV3(rows, last_channel=16, num_classes=5), images(32)


@architecture("torchvision `efficientnet_b0`")
def efficientnet_b0(small):
    if not small:
        return tv.efficientnet_b0(), images(64)
    row = tv.efficientnet.MBConvConfig
    rows = [row(1, 3, 1, 8, 8, 1, 1.0, 1.0), row(2, 3, 2, 8, 8, 2, 1.0, 1.0), row(2, 5, 2, 8, 16, 1, 1.0, 1.0)]
    return tv.EfficientNet(rows, dropout=0.2, num_classes=5, last_channel=24), images(32)


@architecture("torchvision `shufflenet_v2_x1_0`")
def shufflenet_v2(small):
    if not small:
        return tv.shufflenet_v2_x1_0(), images(64)
    return tv.ShuffleNetV2([2, 2, 2], [8, 8, 12, 16, 24], num_classes=5), images(64)


@architecture("torchvision `convnext_tiny`")
def convnext_tiny(small):
    if not small:
        return tv.convnext_tiny(), images(64)
    row = tv.convnext.CNBlockConfig
    return tv.ConvNeXt([row(8, 16, 1), row(16, None, 1)], num_classes=5), images(32)


@architecture("torchvision `regnet_y_400mf`")
def regnet_y(small):
    if not small:
        return tv.regnet_y_400mf(), images(64)
    params = tv.regnet.BlockParams([1, 2], [8, 16], [4, 8], [1.0, 1.0], [2, 2], se_ratio=0.5)
    return tv.RegNet(params, num_classes=5, stem_width=8), images(32)


@architecture("torchvision `densenet121`")
def densenet121(small):
    if not small:
        return tv.densenet121(), images(64)
    return tv.DenseNet(4, (2, 2), num_init_features=8, bn_size=2, num_classes=5), images(32)


@architecture("torchvision `squeezenet1_1`")
def squeezenet(small):
    if not small:
        return tv.squeezenet1_1(), images(64)
    fire = tv.squeezenet.Fire
    model = tv.squeezenet1_1(num_classes=5)
    model.features = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), fire(8, 4, 8, 8),
        nn.MaxPool2d(3, 2, ceil_mode=True), fire(16, 4, 8, 8),
    )
    model.classifier[1] = nn.Conv2d(16, 5, 1)
    return model, images(32)


@architecture("torchvision `inception_v3`")
def inception_v3(small):
    if not small:
        return tv.inception_v3(aux_logits=False, init_weights=True, transform_input=True), images(128)
    blocks = tv.inception

    class Small(nn.Module):
        """One block with average pooling and one that halves the resolution."""

        def __init__(self):
            super().__init__()
            self.stem = blocks.BasicConv2d(3, 6, kernel_size=3, stride=2)
            self.a = blocks.InceptionC(6, channels_7x7=4)
            for branch in ("branch1x1", "branch_pool"):
                setattr(self.a, branch, blocks.BasicConv2d(6, 4, kernel_size=1))
            self.a.branch7x7_3 = blocks.BasicConv2d(4, 4, kernel_size=(7, 1), padding=(3, 0))
            self.a.branch7x7dbl_5 = blocks.BasicConv2d(4, 4, kernel_size=(1, 7), padding=(0, 3))
            self.b = blocks.InceptionB(16)
            self.b.branch3x3 = blocks.BasicConv2d(16, 6, kernel_size=3, stride=2)
            self.b.branch3x3dbl_1 = blocks.BasicConv2d(16, 4, kernel_size=1)
            self.b.branch3x3dbl_2 = blocks.BasicConv2d(4, 4, kernel_size=3, padding=1)
            self.b.branch3x3dbl_3 = blocks.BasicConv2d(4, 6, kernel_size=3, stride=2)
            self.head = nn.Linear(28, 5)

        def forward(self, images):
            x = self.b(self.a(self.stem(images)))
            return self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(x, (1, 1)), 1))

    return Small(), images(24)


@architecture("timm `vit_tiny_patch16_224`")
def vit_tiny(small):
    if not small:
        return timm.create_model("vit_tiny_patch16_224"), images(224)
    return timm.models.VisionTransformer(
        img_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=2, mlp_ratio=2, num_classes=5
    ), images(16)


@architecture("torchvision `VisionTransformer`, 4 layers of 192")
def vit_torchvision(small):
    """torchvision's own, on nn.MultiheadAttention."""
    if not small:
        return tv.VisionTransformer(image_size=64, patch_size=16, num_layers=4, num_heads=3, hidden_dim=192, mlp_dim=768), images(64)
    return tv.VisionTransformer(
        image_size=16, patch_size=4, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5
    ), images(16)


@architecture("timm `deit_tiny_distilled_patch16_224`")
def deit_tiny(small):
    """With the distillation token: two heads, averaged when not training."""
    if not small:
        return timm.create_model("deit_tiny_distilled_patch16_224"), images(224)
    return timm.models.deit.VisionTransformerDistilled(
        img_size=16, patch_size=4, embed_dim=16, depth=1, num_heads=2, mlp_ratio=2, num_classes=5
    ), images(16)


@architecture("timm `swin_tiny_patch4_window7_224`")
def swin_tiny(small):
    if not small:
        return timm.create_model("swin_tiny_patch4_window7_224"), images(224)
    return timm.models.SwinTransformer(
        img_size=32, patch_size=4, window_size=4, embed_dim=8, depths=(2, 2), num_heads=(2, 2), mlp_ratio=2, num_classes=5
    ), images(32)


@architecture("torchvision `swin_t`")
def swin_torchvision(small):
    """torchvision's own, which rolls and pads to whole windows."""
    if not small:
        return tv.swin_t(), images(64)
    return tv.SwinTransformer([4, 4], 8, [2, 1], [2, 2], [3, 3], mlp_ratio=2, num_classes=5), images(32)


@architecture("timm `mobilevit_xxs`")
def mobilevit(small):
    if not small:
        return timm.create_model("mobilevit_xxs"), images(64)
    byo = timm.models.byobnet
    vit = timm.models.mobilevit
    cfg = byo.ByoModelCfg(
        blocks=(
            vit._inverted_residual_block(d=1, c=8, s=1, br=2.0),
            vit._mobilevit_block(d=1, c=8, s=2, transformer_dim=16, transformer_depth=1, br=2.0),
        ),
        stem_chs=8, stem_type="3x3", stem_pool="", downsample="", act_layer="silu", num_features=16,
        attn_kwargs=dict(num_heads=2),
    )
    return byo.ByobNet(cfg, num_classes=5), images(32)


@architecture("timm `mobilevitv2_050`")
def mobilevit_v2(small):
    if not small:
        return timm.create_model("mobilevitv2_050"), images(64)
    byo = timm.models.byobnet
    vit = timm.models.mobilevit
    cfg = byo.ByoModelCfg(
        blocks=(
            vit._inverted_residual_block(d=1, c=8, s=1, br=2.0),
            vit._mobilevitv2_block(d=1, c=8, s=2, transformer_depth=1, br=2.0),
        ),
        stem_chs=8, stem_type="3x3", stem_pool="", downsample="", act_layer="silu",
    )
    return byo.ByobNet(cfg, num_classes=5), images(32)


@architecture("transformers `BertForSequenceClassification`, 4 layers of 256")
def bert_mini(small):
    size = dict(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024)
    if small:
        size = dict(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=60,
            max_position_embeddings=16,
        )
    cfg = hf.BertConfig(**size, num_labels=3)
    return Picked(hf.BertForSequenceClassification(cfg), "logits"), tokens(cfg.vocab_size, 12 if small else 32)


@architecture("transformers `DistilBertForTokenClassification`")
def distilbert(small):
    size = dict() if not small else dict(
        dim=16, n_layers=1, n_heads=2, hidden_dim=32, vocab_size=60, max_position_embeddings=16
    )
    cfg = hf.DistilBertConfig(**size, num_labels=4)
    return Picked(hf.DistilBertForTokenClassification(cfg), "logits"), tokens(cfg.vocab_size, 12 if small else 32)


@architecture("transformers `GPT2LMHeadModel`, 4 layers of 256")
def gpt2_mini(small):
    """With its head tied to the embedding, logits [N, T, V]."""
    size = dict(n_embd=256, n_layer=4, n_head=4, n_positions=128, vocab_size=8192)
    if small:
        size = dict(n_embd=16, n_layer=1, n_head=2, n_positions=16, vocab_size=50)
    cfg = hf.GPT2Config(**size, use_cache=False, bos_token_id=0, eos_token_id=0)
    return Picked(hf.GPT2LMHeadModel(cfg), "logits"), tokens(cfg.vocab_size, 12 if small else 32)


@architecture("transformers `T5EncoderModel`, 4 layers of 256")
def t5_mini_encoder(small):
    size = dict(d_model=256, d_kv=64, d_ff=1024, num_layers=4, num_heads=4, vocab_size=8192)
    if small:
        size = dict(d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, vocab_size=50)
    cfg = hf.T5Config(**size, use_cache=False, attn_implementation="eager")  # sdpa does not export under every exporter
    return Picked(hf.T5EncoderModel(cfg), "last_hidden_state"), tokens(cfg.vocab_size, 12 if small else 32)


@architecture("U-Net, transposed convolutions")
def unet(small):
    return UNet([4, 6, 8] if small else [32, 64, 128, 256], 3, bilinear=False), images(16 if small else 64)


@architecture("U-Net, bilinear upsampling")
def unet_bilinear(small):
    return UNet([4, 6, 8] if small else [32, 64, 128, 256], 3, bilinear=True), images(16 if small else 64)


@architecture("PyTorch `nn.LSTM`, 2 layers, both directions")
def lstm(small):
    width, vocabulary = (6, 30) if small else (128, 5000)
    network = nn.LSTM(width, width, num_layers=1 if small else 2, batch_first=True, bidirectional=True)
    return Recurrent(network, vocabulary, width, 4), tokens(vocabulary, 5 if small else 16, mask=False)


@architecture("PyTorch `nn.GRU`")
def gru(small):
    width, vocabulary = (6, 30) if small else (128, 5000)
    return Recurrent(nn.GRU(width, width, batch_first=True), vocabulary, width, 4), tokens(
        vocabulary, 5 if small else 16, mask=False
    )


@architecture("torchvision `mobilenet_v2`, untrained")
def mobilenet_v2_fresh(small):
    """As it is before any training: equal scales, biases and statistics, which an exporter may merge."""
    return mobilenet_v2(small)


@architecture("timm `vit_tiny_patch16_224`, untrained")
def vit_tiny_fresh(small):
    return vit_tiny(small)


class Tabular(nn.Module):
    """An embedding for each column of categories, one vector for each number, a transformer encoder over the columns."""

    def __init__(self, cardinalities, numbers, width, heads, depth, classes):
        super().__init__()
        self.categories = nn.ModuleList(nn.Embedding(n, width) for n in cardinalities)
        self.scale = nn.Parameter(torch.randn(numbers, width))
        self.shift = nn.Parameter(torch.randn(numbers, width))
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth)
        self.head = nn.Linear(width, classes)

    def forward(self, categories, numbers):
        columns = [e(categories[:, i]) for i, e in enumerate(self.categories)]
        x = torch.cat([torch.stack(columns, 1), numbers[..., None] * self.scale + self.shift], 1)
        return self.head(self.encoder(x).mean(1))


@architecture("PyTorch `nn.TransformerEncoder` over embedded columns")
def tabular(small):
    cardinalities, numbers, width = ((4, 5), 3, 8) if small else ((10, 20, 30, 40), 6, 64)
    inputs = OrderedDict(
        categories=torch.stack([torch.randint(0, n, (BATCH,)) for n in cardinalities], 1),
        numbers=torch.randn(BATCH, numbers),
    )
    return Tabular(cardinalities, numbers, width, 2 if small else 4, 1 if small else 3, 5), inputs


@architecture("transformers `MambaForCausalLM`")
def mamba(small):
    size = dict(hidden_size=64, num_hidden_layers=2, state_size=8, vocab_size=500)
    if small:
        size = dict(hidden_size=8, num_hidden_layers=1, state_size=4, vocab_size=30)
    cfg = hf.MambaConfig(**size, use_cache=False)
    return Picked(hf.MambaForCausalLM(cfg), "logits"), tokens(cfg.vocab_size, 6 if small else 16, mask=False)


@architecture("timm `tf_efficientnet_cc_b0_4e`")
def condconv(small):
    if not small:
        return timm.create_model("tf_efficientnet_cc_b0_4e"), images(64)
    block = timm.models._efficientnet_blocks.CondConvResidual
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)]
    stem = [nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(*stem, block(8, 8, exp_ratio=2.0, num_experts=2), *head), images(16)


@architecture("timm `dla34`")
def dla(small):
    if not small:
        return timm.create_model("dla34"), images(64)
    module = timm.models.dla
    return module.DLA([1, 1, 1, 2, 1, 1], [4, 4, 8, 8, 8, 8], block=module.DlaBasic, num_classes=5), images(64)


@architecture("timm `regnetz_005`")
def regnet_z(small):
    if not small:
        return timm.create_model("regnetz_005"), images(64)
    module = timm.models.regnet
    cfg = module.RegNetCfg(
        depth=4, w0=8, wa=12.0, wm=1.5, group_size=8, bottle_ratio=2.0, se_ratio=0.25, stem_width=8, downsample=None,
        num_features=16, act_layer="silu",
    )
    return module.RegNet(cfg, num_classes=5), images(48)


@architecture("transformers `FNetForSequenceClassification`")
def fnet(small):
    size = dict(hidden_size=64, num_hidden_layers=2, intermediate_size=128, vocab_size=500)
    if small:
        size = dict(hidden_size=8, num_hidden_layers=1, intermediate_size=12, vocab_size=30)
    cfg = hf.FNetConfig(**size, pad_token_id=0, num_labels=5, max_position_embeddings=32, tpu_short_seq_length=32)
    model = hf.FNetForSequenceClassification(cfg)
    inputs = tokens(cfg.vocab_size, 6 if small else 24, mask=False)
    return PickedWithoutMask(model), inputs


class PickedWithoutMask(nn.Module):
    """Logits of a transformers model that takes no mask."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids):
        return self.model(input_ids=input_ids).logits


class SpectralConvolution(nn.Module):
    """Li et al. 2021, Fourier Neural Operator: the lowest modes are mixed between channels, the others left out."""

    def __init__(self, width, modes):
        super().__init__()
        self.modes = modes
        self.weight = nn.Parameter(torch.randn(width, width, 2 * modes, modes, 2) / width)

    def forward(self, x):
        height, across = x.shape[-2:]
        m = self.modes
        low = torch.view_as_real(torch.fft.rfft2(x))[..., :m, :]
        low = torch.cat([low[..., :m, :, :], low[..., height - m :, :, :]], 2)
        (a, b), (c, d) = low.unbind(-1), self.weight.unbind(-1)
        mix = "bihw,iohw->bohw"
        real = torch.einsum(mix, a, c) - torch.einsum(mix, b, d)
        imaginary = torch.einsum(mix, a, d) + torch.einsum(mix, b, c)
        mixed = torch.stack([real, imaginary], -1)
        middle = torch.zeros(*mixed.shape[:2], height - 2 * m, m, 2, dtype=x.dtype)
        spectrum = torch.cat([mixed[..., :m, :, :], middle, mixed[..., m:, :, :]], 2)
        spectrum = nn.functional.pad(spectrum, (0, 0, 0, across // 2 + 1 - m))
        return torch.fft.irfft2(torch.view_as_complex(spectrum), s=(height, across))


class FourierOperator(nn.Module):
    def __init__(self, width, modes, depth):
        super().__init__()
        self.lift = nn.Conv2d(3, width, 1)
        self.spectral = nn.ModuleList(SpectralConvolution(width, modes) for _ in range(depth))
        self.local = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(depth))
        self.project = nn.Conv2d(width, 1, 1)

    def forward(self, images):
        x = self.lift(images)
        for spectral, local in zip(self.spectral, self.local):
            x = nn.functional.gelu(spectral(x) + local(x))
        return self.project(x)


@architecture("Fourier neural operator, 2 axes")
def fno(small):
    return FourierOperator(4, 2, 1) if small else FourierOperator(32, 8, 4), images(8 if small else 32)


class Spectrogram(nn.Module):
    """Sound: a learned filter, the log of a mel spectrogram with learned bands, convolutions."""

    def __init__(self, frame, bands, width, classes):
        super().__init__()
        self.filter = nn.Conv1d(1, 1, 3, padding=1)
        self.register_buffer("window", torch.hann_window(frame))
        self.bands = nn.Linear(frame // 2 + 1, bands)
        self.body = nn.Sequential(nn.Conv1d(bands, width, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten())
        self.head = nn.Linear(width, classes)
        self.frame = frame

    def forward(self, sound):
        x = self.filter(sound[:, None])[:, 0]
        s = torch.stft(x, self.frame, self.frame // 4, window=self.window, center=False, return_complex=False)
        power = s.square().sum(-1).transpose(1, 2)
        return self.head(self.body(torch.log(self.bands(power).exp() + 0.1).transpose(1, 2)))


@architecture("STFT front end behind a learned filter")
def spectrogram(small):
    frame, samples = (12, 60) if small else (400, 4000)
    sound = OrderedDict(sound=torch.randn(BATCH, samples).mul(2).round().div(8))
    return Spectrogram(frame, 4 if small else 40, 6 if small else 64, 5), sound


class SpatialTransformer(nn.Module):
    """Jaderberg et al. 2015: a small network says where the classifier looks."""

    def __init__(self, width, classes):
        super().__init__()
        self.where = nn.Sequential(nn.Conv2d(3, width, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 6))
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, 2), nn.ReLU())
        self.head = nn.Linear(width, classes)

    def forward(self, images):
        theta = self.where(images).reshape(-1, 2, 3)
        grid = nn.functional.affine_grid(theta, images.shape, align_corners=False)
        return self.head(self.body(nn.functional.grid_sample(images, grid, align_corners=False)).mean((2, 3)))


@architecture("spatial transformer: `affine_grid`, `grid_sample`")
def spatial_transformer(small):
    return SpatialTransformer(4 if small else 32, 5), images(10 if small else 64)
