// Original file: enbi.proto


export interface WatchRequest {
  'image'?: (string);
}

export interface WatchRequest__Output {
  'image': (string);
}
