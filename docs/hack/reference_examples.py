"""An example for each object of the reference that is not plain by its table. A test reads each with its model."""

EXAMPLES = {
    "Evaluator": """
evaluator:
  resources: {limits: {memory: 2Gi}}
  nodePool: {}            # its own: without the members' accelerators
""",
    "NodePool": """
nodePool:
  accelerator: {resource: nvidia.com/gpu, count: 2}
  nodeSelector: {example.com/pool: a100}
  env: [{name: NCCL_SOCKET_IFNAME, value: eth0}]
""",
    "Toleration": """
tolerations: [{key: spot, operator: Exists, effect: NoSchedule}]
""",
    "TopologySpread": """
topologySpread: [{topologyKey: topology.kubernetes.io/zone, maxSkew: 1}]
""",
    "Resources": """
resources:
  requests: {cpu: 2, memory: 4Gi}
  limits: {memory: 8Gi}
""",
    "Volume": """
volumes:
  - {mountPath: /data, readOnly: true, persistentVolumeClaim: {claimName: images}}
  - {mountPath: /scratch, emptyDir: {sizeLimit: 10Gi}}
""",
    "PodTemplate": """
podTemplate:
  metadata: {annotations: {example.com/owner: vision}}
  spec:
    terminationGracePeriodSeconds: 120
    containers:
      - {name: trainer, securityContext: {readOnlyRootFilesystem: false}}
""",
    "Program": """
program:
  command: [python, train.py, --data, /data]
  env: [{name: EPOCHS, value: "10"}]
  source: {configMap: {name: my-program}}
""",
    "EnvVar": """
env:
  - {name: EPOCHS, value: "10"}
  - {name: TOKEN, valueFrom: {secretKeyRef: {name: bucket, key: token}}}
""",
    "ProgramSource": """
source:
  inline:
    files:
      main.py: |
        print("trains on every member")
""",
    "Training": """
training:
  dataset: {builtin: {name: mnist}}
  model: {preset: {CNN: {filters: [32], classes: 10}}}
  optimizer: {Adam: {learning_rate: 0.001}}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  epochs: 10
  globalBatchSize: 96
""",
    "BuiltinDataset": """
builtin: {name: linear-regression, examples: 1000, slope: 2, intercept: 1, noise: 0.1}
""",
    "NpzDataset": """
npz: {path: /data/part-*.npz, input: images, label: labels}
""",
    "CsvDataset": """
csv: {path: /data/houses.csv, label: price, features: [area, rooms]}
""",
    "TFRecordDataset": """
tfrecord:
  path: gs://bucket/train-*.tfrecord
  features:
    image: {type: bytes, decode: image, shape: [32, 32, 3]}
    class: {type: int}
  input: image
  label: class
""",
    "ImagesDataset": """
images: {path: /data/flowers, size: [160, 160]}
""",
    "PythonObject": """
builder: {function: "my_data:load", arguments: {folder: /data}}
""",
    "Validation": """
validation: {split: 0.2}
""",
    "Pipeline": """
pipeline:
  normalize: {scale: 0.00392156862745098, mean: [0.5], std: [0.25]}
  augment: [{flip: horizontal}, {crop: {padding: 4}}]
""",
    "TrainingModel": """
model:
  layers:
    - {Conv2D: {filters: 32, kernel_size: 3, activation: relu}}
    - MaxPooling2D
    - Flatten
    - {Dense: {units: 10, activation: softmax}}
""",
    "GradientClipping": """
gradientClipping: {globalNorm: 1.0}
""",
    "Checkpoint": """
checkpoint: {volume: {persistentVolumeClaim: {claimName: runs}, subPath: mnist}, everySteps: 500}
""",
    "Output": """
output: {path: gs://bucket/models/mnist, format: savedModel}
""",
    "StopWhen": """
stopWhen: {metric: val_loss, patience: 3, restoreBest: true}
""",
    "Reporting": """
reporting: {intervalSeconds: 5}
""",
}
