"""Federated averaging on a prepared dataset, with the published study's protocol (Neurosurgery 2023; 92:431).

    python -m launch.prepare_data --source=DIR --layout=sites --data_dir=DATA --image_size=256
    python -m launch.train --config=configs/ich_fed_avg.py --workdir=runs/ich --config.data_dir=DATA

The study's windows, augmentation, optimiser, batch size, local epochs, rounds and participation; split by
patient, where the study split by image. The model is a small ResNet in place of a ResNeXt-101. One regime
a call: `--config.regime=central`, or `--config.regime=local --config.site=SITE`; `launch.experiment` runs
all.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.regime = "federated"  # or central, or local with a site
    config.site = ""

    # Data: site folders of DICOM files, or a prepared dataset, or, where both are empty, a synthetic cohort.
    config.source = ""
    config.source_layout = "sites"  # of `source`; or rsna: the challenge's folder, see `partition`
    config.data_dir = ""  # empty: WORKDIR/data
    config.image_size = 256
    config.max_refused = 0.01
    # Who is at which site: natural(), iid(sites=5), dirichlet(sites=5, alpha=0.5), quantity(sites=5),
    # pathological(sites=5, labels=2) or acquisition(sites=5); a site `holdout` stays held out.
    config.partition = "natural()"
    config.fractions = (0.7, 0.15, 0.15)  # of each site's patients: train, validation, test
    config.stratify = "greedy"  # or exchange: labels as even over the splits as swaps can make them
    config.folds = 1  # 5: cross-validation, the test patients are the fifth with the number `fold`
    config.fold = 0
    config.memory_limit = 4.0  # GiB of pixels; a larger dataset streams from disk: the same batches
    config.cohort = ConfigDict({"seed": 0, "scale": 1.0, "matrix": 256})

    # Model and training. Each window of each slice is a channel; 3 is the slice with those below and above.
    config.adjacent = 1
    config.windows = ("brain", "subdural", "soft_tissue")
    config.model = "resnet()"
    # Weights in PyTorch's form, .safetensors or .pth, with eight digits or more of the file's SHA-256, which
    # may be in its name.
    config.pretrained = ""
    config.pretrained_digest = ""
    config.pretrained_head = "new"  # or keep: the file's last layer, with the same labels
    config.pretrained_channels = "same"  # or repeat: the file's in turn, for other channels
    config.trainable = (
        ""  # of the pretrained model, e.g. '^fc/': what else stays is not sent; empty: all
    )
    config.cached_features = False  # of a head alone, without augmentation: images are read once
    config.layer_rates = ()  # e.g. (('^(conv1|bn1|layer1)', 0.1),): factors of the optimiser's rate
    # Slices in their study, see configs/study_head.py: the workdir of a study whose models give a slice's
    # features, or, with `pretrained`, such a model; `model` is then study_head(...).
    config.backbone = ""
    config.backbone_model = (
        "own"  # each arm reads with its own; or federated, or another one for all
    )
    config.study_weight = 0.5  # of the study's own loss, beside the mean over its slices
    # Without `trainable` the backbone is frozen. With it, e.g. '^backbone/', what is found of the backbone
    # is trained with the head, at its own rate with layer_rates=(('^backbone/', 0.1),), and `backbone` may be
    # the workdir of a head, from which both begin. So many slices' activations are held at once:
    config.slices_at_once = 32
    # Of batch normalisation: frozen as in the file, aggregate (pooled from the sites' moments), local (each
    # site's own, never sent), naive (the mean of the sites' variances), or recompute: as aggregate, and after
    # the last round from all training slices.
    config.statistics = "frozen"
    # Of optax; a rate may be a schedule: 'sgd(warmup_cosine_decay_schedule(0.0, 0.1, 50, 1000))'. It counts
    # the steps of the optimiser's state: a site's own with keep_optimizer=True, else the round's.
    # The central model takes as many steps a round as all sites together, so that its schedule runs that much
    # faster; round_schedule is the same in every arm.
    config.optimizer = "adam(3e-4)"
    # A factor of the rate in each round: 'cosine_decay_schedule(1.0, rounds)'; void rounds do not count.
    config.round_schedule = ""
    config.batch_size = 16
    config.accumulate = 1  # parts of a batch whose gradients are summed: less memory, the same step
    config.remat = False  # of large models: compute blocks again for the gradient; no use on CPU
    config.max_degrees = 20.0
    config.flip = True
    config.mixup = 0.0  # alpha of Zhang 2018, 0.2 say; 0: no mixed examples
    # Or 'cross_entropy(label_weights=(2, 1, 1, 1, 1, 1), smoothing=0.05)', `any` twice as in the challenge;
    # 'focal(gamma=2.0)'. Each with a weight of positives for each label, which is 1 with a ceiling of 1.
    config.loss = "cross_entropy()"
    config.positive_weight_ceiling = 10.0
    # Or balanced: as many examples, half without a bleed, half with one, by turns of its subtypes. Weights of
    # positives are counted on the slices all the same: set their ceiling to 1.
    config.sampling = "natural"
    # Predict with a mean of the server's models: 0.9 is that of some ten rounds, in every arm; 0: the last.
    config.ema = 0.0
    config.test_flip = False  # predict with the mean logits of a slice and its mirror image

    # Federation. Central and local models are trained plainly, by FedAvg over one site.
    config.algorithm = "fed_avg(keep_optimizer=True)"
    config.aggregator = "weighted_mean()"
    config.layout = "auto"  # or sequential, vmapped, mesh: the same numbers
    config.rounds = 10
    config.epochs = 3.0  # local, a round; 0.5 is half of a site's slices
    config.min_sites = 4
    # What goes wrong at the sites, by chance or on purpose: 'absent(sites=2, share=0.3)', 'not_finite((0,))',
    # 'stale(...)', 'sign_flip(...)', and all others of fl_jax/faults/.
    config.faults = ()
    config.void_rounds = (
        "skip"  # or stop: a round that fewer than min_sites ended, or that is not finite
    )
    config.local_budget = "examples"  # a local model sees as many examples as the federated one

    # Evaluation.
    config.resamples = 1000
    config.margin = 0.02  # of AUROC; a federation that loses less is non-inferior
    config.survey = ""  # a CSV of answers to configs/survey.csv, a row a respondent, for the report

    # The machine. Trainings side by side, 0 chooses: the same numbers whatever it is. Threads of each on CPU:
    # another number may change the last bits, as XLA sums the gradient of a convolution by thread; 0 takes
    # all cores, so that they depend on the machine.
    config.jobs = 0
    config.threads = 1
    return config
