// Original file: enbi.proto


export interface Waiter {
  'namespace'?: (string);
  'pod'?: (string);
  'nixBuild'?: (string);
}

export interface Waiter__Output {
  'namespace': (string);
  'pod': (string);
  'nixBuild': (string);
}
