"""The report's fixed sentences."""

from report.texts import PLUS_MINUS

SCALE_NOTES = {
    "smoke": (
        "Smoke scale: few images and few steps. It checks that the machinery runs, and "
        "nothing else; its numbers say nothing about any method and are never set against the "
        "paper's."
    ),
    "laptop": (
        "Laptop scale: a check of the machinery and of the speed of recovery. Small networks and "
        "short runs: it can neither confirm nor refute the paper, and its numbers are never set "
        "against the paper's."
    ),
    "headline": (
        "The headline: the paper's networks and images, in a quarter of the full length. Its "
        "numbers are never set against the paper's."
    ),
    "paper": "Full length: set against the claimed numbers where there are any.",
}
OVER = {"fp": "its float", "kd": "plain KD"}
SCALE_TITLES = {"paper": "At full length", "laptop": "Scaled down"}
SURENESS = (
    "A true difference of 0.5 points had a chance of {} of being seen within a setting, after "
    "Holm's correction (lower bounds)."
)
HEADLINE = (
    "Test top-1 in percent, mean over seeds, with half its 95 % interval; beneath it the mean "
    "test loss. Float: as the student began. Differences in points with their 95 % interval, "
    "uncorrected, and the one word that follows. Teacher: its top-1 and test loss before and after "
    "co-studying. Lengths are passes over the training images, of those of the full method "
    "(CIFAR 200, ImageNet 120). A setting stands again where another run of it compares QKD with "
    "more, or has verdicts."
)
PAPER_FIGURE = (
    "The paper's Figure 1, from results/paper.csv: ImageNet top-1, read off the drawing with an "
    "error of about 0.03 points. AP* is the paper's distillation from a fixed teacher; that it is "
    "our plain KD is derived. Hollow marks are claimed, filled ones were run here at full length."
)
TWIN_FIGURE = (
    "Its small twin from the CIFAR runs here: of each pair the length of training with the most "
    "numbers of bits, then the longest; mean over seeds with its 95 % interval. These are far "
    "shorter than the paper's, and show no number of its own."
)
BY_BITS = "Top-1 over bits: the paper's Figure 1, and its twin from the runs here"
NO_QKD = "No setting at laptop or paper scale has a run of QKD that is done."
HEADLINE_FIGURE = (
    "What QKD gains over plain KD, plain QAT and plain QAT at its own cost, against the length of "
    "training: mean and 95 % interval. Lines join what one run has; hollow marks are exploratory. "
    "The grey band is half a point to each side."
)
REPEATABILITY = (
    "The same cell trained again: under another instruction set of the same processor with the "
    "same seed, or under another seed. Where the first moves as much as the second, one run is one "
    "draw: a paper that reports one run has reported a draw, and so has one that pairs methods by "
    "their seed on processors of different kinds. PORTABLE=1 takes the first away."
)
TORTURE = (
    "make torture kills stages at random moments of every phase, and compares their ends, bit for "
    "bit, with those of stages that nothing disturbed. It feeds the commands hostile records, "
    "checkpoints, images, names and flags; starts two launches at once on one results folder; and "
    "fills the disk at each write of a stage. A fault is an end that differs, an input that was "
    "executed, averaged in silence or cost a record, a stage trained twice, a file half-written."
)
ARITHMETIC = (
    "Cells of this setting were rounded differently: {}. At few bits that moves a number as much "
    "as another seed does, and what was rounded differently is never pooled: means and contrasts "
    "are of the most numerous kind alone."
)
ELSEWHERE = (
    "A student in the forms that other programs read, each run by them on the test images beside "
    "the network itself. A value on a rounding edge may fall either way and moves an image's "
    "logits; so the verdict is by the median image, and by 99 % of the answers. A form that a "
    "program computes wrongly is not written, unless it is known to do so in that version."
)
ROUNDING = (
    "Own rounding: by how much a logit of the network itself differs in float32 and in float64, "
    "for the median image."
)
LATENCY = (
    "Below 1 is faster than float32. No program was seen to use kernels of fewer than 8 bits: 2 "
    "and 4 bits run as 8 do, or in float32. The last column says how many layers ran as integers."
)
COMMITTED = "committed reference"
LEGEND = (
    ("supported", "the claim's test decides for it, over all settings of the scale together"),
    ("contradicted", "the test decides against it"),
    ("equivalent", "no difference was seen, and one of half a point is ruled out"),
    ("undecided", "it was tested, and neither difference nor equivalence could be shown"),
    ("exploratory", "it was tested on runs alone that were seen before the analysis was fixed"),
    ("not tested", "no run here that is done asks the question"),
)
SCALED_DOWN = (
    "Scaled down: the same question asked of small networks and short runs. Its word is about "
    "those alone, and is never set against the paper's numbers. Smoke runs are not counted."
)
RULES = (
    "Open a claim for its rule and its evidence. The rules are those of the analysis that was "
    "fixed on {}: runs that were seen before it are exploratory, and decide nothing."
)
REFERENCE_NOTE = "This is the committed reference run, not a run of yours:"
NOTHING_RAN = "Nothing has run yet."
NO_RESULT = "No cell is done: only a result says how many test images there are."
INTERVALS = (
    f"{PLUS_MINUS} is half the width of a 95 % Student-t interval of the mean over seeds; "
    "n is the number of seeds. Seeds share one pre-trained pair of networks and one test set: "
    "every interval is conditional on both and says nothing about another pair or other images."
)
SELECTION = (
    "Reported is the network after its last step. The best held-out top-1, on training images "
    "that no stage here was trained on (ready weights may have been), is a column of its own and "
    "selects no network. The test set is evaluated once, at the end of a stage, in float32."
)
TUNING = (
    "The committed runs on Fashion-MNIST were not tuned: their settings are the paper's, "
    "second-hand or assumed values, as listed below, the same for every method but where its row "
    "says otherwise; their networks and lengths were chosen for the time that they take. Of this "
    "project's own matrices those whose rates were tuned say so, and by what, among their "
    "deviations. A run's own values are in its drawer. How those of a matrix of one's own were "
    "chosen, no record says."
)
POOLED = "contrasts are judged by this spread"
WELCH = "it differs by method, and each contrast has Welch's test of its own two"
POWER = (
    "The power is the chance of an uncorrected test of this design to see a true difference of 0.5 "
    "points at the spread that was observed."
)
FAMILIES = (
    "fixed before any run, and corrected by Holm's method within each family and this setting, "
    "those not run among them: the headline has three, whichever of them are asked here."
)
NO_CORRECTION = "and no correction was passed"
SEEN = (
    "Exploratory: these runs were seen before the analysis was fixed. They have intervals and no "
    "verdict."
)
ANALYSIS = "Every verdict is by the analysis that was fixed on {}, before the runs that it judges"
JOINED = (
    "A fixed contrast over all settings of a scale: the mean, each setting weighted by the inverse "
    "of its squared standard error, with its 95 % interval, which allows for weights that are "
    "estimated (Meier 1953). Holm's p is within the family. "
    "Homogeneity is the p of Cochran's test that the settings differ by chance alone: below 0.05 "
    "no mean over them is called equivalent. The fixed analysis has the mean and its interval, and "
    "no word for them: the word is that of a setting's rule. Of settings "
    "that share runs the one with more counts. Runs that were seen before the analysis was fixed "
    "stand apart."
)
MCNEMAR = (
    "McNemar's exact, two-sided test on the same test images, uncorrected. It is conditional on "
    "the two trained networks of a seed: it says whether these two differ on other images of the "
    "kind, and nothing about the methods, which the differences over seeds are for."
)
BAND = (
    "In brackets the noise of the test set: Wilson's 95 % interval of a share of so many images, "
    "for this one trained network."
)
FOREST = (
    "Differences: of each seed that both have (dots), of the means with the 95 % interval, "
    "uncorrected. Contrasts that were not fixed are hollow. An interval may run out of the figure."
)
BY_LENGTH = (
    "Each length is a training of its own, from the same start, whose learning rates fall to zero "
    "at its end. The contrasts of a length are tested and corrected within it; how two lengths "
    "differ is not tested. Steps are those of a method of the usual epochs: one that trains for "
    "more (plain QAT at QKD's cost) takes more."
)
BY_LENGTH_FIGURE = (
    "Differences at each length of training: of each seed that both have (dots), of the means with "
    "the 95 % interval, uncorrected. Contrasts that were not fixed are hollow. An interval may run "
    "out of the figure."
)
ACCURACY = (
    "Test top-1 after the last step: each seed (dots), the mean and its 95 % interval. An interval "
    "may run out of the figure."
)
CURVES = (
    "Held-out top-1 over the student's steps, mean over seeds. Dotted lines: where a phase ends."
)
LOSSES = "Terms of the losses, mean over seeds. Solid: cross-entropy; dashed: the others."
RATES = "Learning rates of the weights; the broad line is the teacher's, while it learns."
INTERVAL_CURVES = (
    "Learned intervals of up to twelve layers under {}, relative to the first logged value, mean "
    "over seeds. Solid: of the weights; dashed: of the inputs."
)
WEIGHTS = (
    "Weights of up to four layers under {}, seed {}: the share in each bin of their quantizer's "
    "range as it was at that moment; dotted lines are the range's ends. For the project's own "
    "quantizer the place is the weight over the interval. Dashed: before the first quantized step; "
    "solid: after the last. The outermost bins hold all that lies further out. Clipped: the share "
    "beyond the range."
)
NO_WEIGHTS = "The histograms of the weights of {}, seed {}, cannot be read, and are not drawn: {}"
UNDRAWN = "The first {} settings of a page have figures; this one has its tables alone."
FAMILY_TITLES = {"headline": "Headline", "phases": "Phases", "": "Not fixed beforehand"}
REFERENCE_MARGIN = "Differences with a 90 % Welch interval; the margin is 0.5 points."
RUNS = (
    "A run's seconds are those of its whole path, shared stages included, the pre-training aside. "
    "Its name opens a drawer with its permalink: its path, records, command, values, environment "
    "and log, and for a method's first seed that is done its layers."
)
LAYERS_ELSEWHERE = "Its layers: in result.json."
MARKS = (
    "Paper: its own words. Second-hand: others who had the paper say so. Derived: arithmetic on "
    "those. Assumed: nobody says; a choice, with its reason."
)
RANDOMNESS = (
    "What is drawn follows from seed and step alone. The same bits are promised where torch, "
    "device, threads and compiling agree; a stage's env.json has them all."
)
AGAIN = (
    "Each run's drawer has its command; each record's stage.json holds every value, and runs by "
    "itself once the stages that it goes on from are there with their weights: python -m qkd.train "
    "RECORD/stage.json."
)
FIXED = (
    "Corrected: the lower bound of the power after Holm's correction. The intervals are not "
    "corrected, so that one may exclude 0 where Holm's p decides nothing."
)
EXPLORATORY = "Uncorrected, without a verdict: to be read as suggestions for another run."
VERDICTS = (
    "Against a claimed number: reproduced if the 90 % interval of the difference lies within 0.5 "
    "points of it, not reproduced if it lies wholly outside, else inconclusive; likewise for what "
    "QKD gains over its own float network and over plain KD. Quantized cells need their integer "
    "proofs for a verdict."
)
INTEGERS = (
    "Bits: of a quantized network the distinct levels of weights and of one batch's inputs are "
    "counted, and more than its bits allow fail it. It is then run as integers on every test "
    "image: weights and inputs as codes, 32-bit sums, one multiply-add per channel for scales, "
    "bias and batch norm; residual sums, pooling and activation functions stay in float, and so "
    "does the first layer's input, the exact image. At least 99.99 % of its predictions must be "
    "those of the fake-quantized network in float64; without that proof a cell gets no verdict "
    "against the paper."
)
COST = (
    "Cost: multiply-accumulates of training, relative to plain QAT in the same setting, the "
    "pre-training aside; training a network counts three forward passes of it, a frozen teacher "
    "one."
)

AUDITED = (
    "Levels and clipping of the inputs are counted on the first 128 test images in their canonical "
    "order, which goes by class: they are of one class where a class has so many."
)
SPEED = (
    "Measured by make speed: two pieces of work in turn, round by round; the ratio is the "
    "median over the rounds, with the middle half of them. A quantized step at 4 bits stands "
    "against the float step of the same network, each with its losses, its backward pass and its "
    "optimiser. What is since a commit stands against that commit's code on the same machine."
)
GROWTH = (
    "How cost grows. Width, depth, batch and bits: time of a quantized step on 28 x 28 images, "
    "relative to ResNet-14 of width 8 at batch 64 and W4A4. Cells: counted cost of the ablation's "
    "first methods in runs of plain QAT, equal stages trained once (shared) or by each method."
)
SIZES = (
    "Packed: bytes of the student in a file with its quantized weights at their true width, the "
    "header included; bit operations: for one image, multiply-accumulates times the bits of the "
    "weight times those of the input, a layer's own (the first layer's pixels 8), 32 x 32 in full "
    "precision."
)
REESTIMATED = (
    "Batch norms re-estimated: test top-1 once their statistics are measured again on the last 20 "
    "batches of training (as many as running statistics weigh at a momentum of 0.1), with the "
    "trained weights; a diagnostic, which no test and no verdict uses."
)
REESTIMATED_PLAIN = (
    "Not augmented: the same of older records, on held-out training images without augmentation, "
    "which changes the statistics by itself."
)
SHARES = (
    "MACs at these bits: the share of an image's multiply-accumulates, of attention and other "
    "products too, in layers whose weights and inputs have the bits in the label; the first and "
    "last layer have their own."
)
FRONT = (
    "Every method at every bit width, mean over seeds with its 95 % interval. Filled diamonds and "
    "the stepped line: the Pareto front, where no other is both as cheap and as accurate; it goes "
    "by the means, and neighbours whose intervals overlap may change places. An interval may run "
    "out of the figure."
)
